"""Bottle: the request object, made when it is touched, and responses in either version of Bottle."""

import importlib.machinery
import sys
import threading

NAME = 'bottle'
PRIVATE = '_funchost.bottle'
FILE = '<vendored>/bottle.py'


class Loader:
    """Loads the Bottle that the host brings along, out of the host's own file."""

    def __init__(self, source):
        self.get_text = source

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.get_text(), FILE, 'exec'), module.__dict__)

    def get_source(self, _):
        return self.get_text()


class Finder:
    """Finds that Bottle for `import bottle`, after everybody else: a function's own version wins."""

    def __init__(self, loader):
        self.loader = loader

    def find_spec(self, name, path=None, target=None):
        if name == NAME:
            return _spec(name, self.loader)
        return None


def _spec(name, loader):
    spec = importlib.machinery.ModuleSpec(name, loader, origin=FILE)
    # Bottle reads its `__file__`.
    spec.has_location = True
    return spec


def install(source, current):
    """`source` gives the text of Bottle; `current` is the variable that holds the call that is being served."""
    global _loader, _current
    _loader = Loader(source)
    _current = current
    sys.meta_path.append(Finder(_loader))


def _our_bottle():
    """The host's own Bottle: shared with the function unless that brings another one."""
    import importlib.util

    spec = importlib.util.find_spec(NAME)
    if spec is not None and spec.loader is _loader:
        return importlib.import_module(NAME)
    if PRIVATE not in sys.modules:
        spec = _spec(PRIVATE, _loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[PRIVATE] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[PRIVATE]
            raise
    return sys.modules[PRIVATE]


def _request_class():
    """The class of a request that has been touched, made when the first one is."""
    global _class
    if _class is not None:
        return _class
    with _lock:
        if _class is None:
            _class = _make_class()
    return _class


def _make_class():
    bottle = _our_bottle()

    class Request(bottle.BaseRequest):
        __slots__ = ()
        # The host has limited the body already; what has arrived may be parsed.
        MEMFILE_MAX = 1 << 62

        def copy(self):
            return Request(self.environ.copy())

    Request.__module__ = NAME
    Request.__qualname__ = 'Request'
    return Request


_class = None
_lock = threading.RLock()


def _become(placeholder):
    """Turns a placeholder into a request. Its slot holds the host's call until then."""
    kind = _request_class()
    with _lock:
        if type(placeholder) is not Placeholder:
            return
        held = _slot.__get__(placeholder)
        # A dict already, if the change was interrupted half way.
        if not isinstance(held, dict):
            _slot.__set__(placeholder, _environ(held))
        object.__setattr__(placeholder, '__class__', kind)


def _environ(call):
    """A call's WSGI environment, as Bottle's own dispatcher prepares it for a handler."""
    environ = call.environ()
    raw = environ['bottle.raw_path'] = environ['PATH_INFO']
    environ['PATH_INFO'] = raw.encode('latin1').decode('utf8', 'ignore')
    return environ


class Placeholder:
    """A request that nobody has looked at. Importing Bottle and building a WSGI environment cost more than most
    functions do, and few look."""

    __slots__ = ('environ',)

    def __getattribute__(self, name):
        # `isinstance` asks for this, and believes it only as long as it is not the real class.
        if name == '__class__':
            return _request_class()
        _become(self)
        return getattr(self, name)


_slot = Placeholder.__dict__['environ']


def _forward(name):
    def method(self, *arguments):
        _become(self)
        return getattr(type(self), name)(self, *arguments)

    method.__name__ = name
    return method


# What Python looks up in the class without asking `__getattribute__`.
for _name in (
    '__setattr__', '__delattr__', '__getitem__', '__setitem__', '__delitem__', '__iter__', '__len__', '__repr__',
):  # fmt: skip
    setattr(Placeholder, _name, _forward(_name))


def response(value):
    """Status, headers and body of a Bottle response of any version; `None` for everything else."""
    for name in NAME, PRIVATE:
        module = sys.modules.get(name)
        kind = getattr(module, 'HTTPResponse', None)
        if isinstance(kind, type) and isinstance(value, kind):
            body = _error_page(module, value) if isinstance(value, module.HTTPError) else value.body
            headers = [(key.encode('latin1'), text.encode('latin1')) for key, text in value.headerlist]
            return value.status_code, headers, body
    return None


def _error_page(module, error):
    """An HTTPError is shown as a page, as in Bottle; data stays data."""
    if isinstance(error.body, dict):
        return error.body
    # The page names the URL, which it takes from the global request.
    module.request.bind(_environ(_current.get()))
    try:
        return module.Bottle.default_error_handler(None, error)
    finally:
        # Not with `del`: Bottle's own `__delattr__` knows only attributes of functions.
        object.__delattr__(module.request, 'environ')
