"""Finding the function."""

import importlib
import os
import site
import sys

from _funchost.errors import OURS, describe


class NotFound(Exception):
    """There is no such module or no such function; the message says what there is."""


class Broken(Exception):
    """The module failed while it was imported: message and traceback."""


def prepare(root):
    """Makes the mount importable, by the rules of Kubeless: behind everything that is there already."""
    # The mount may be read-only, and is not ours to write to.
    sys.dont_write_bytecode = True
    # The function may change the working directory.
    root = os.path.abspath(root)
    version = '%d.%d' % sys.version_info[:2]
    for folder in (
        f'lib/python{version}/site-packages',
        f'lib64/python{version}/site-packages',
        # Where the pip of Debian and Ubuntu installs to with --prefix.
        f'local/lib/python{version}/dist-packages',
    ):
        folder = os.path.join(root, folder)
        if os.path.isdir(folder):
            site.addsitedir(folder)
    if root not in sys.path:
        sys.path.append(root)


def load(root, module, function):
    """The handler, the name it gives itself, and whether calling it gives something to be awaited."""
    loaded = _import(root, module)
    try:
        handler = getattr(loaded, function)
    except AttributeError:
        raise NotFound(_no_function(root, module, loaded, function)) from None
    if not callable(handler):
        kind = type(handler).__name__
        raise NotFound(f'{function} in {_where(module, loaded)} is a {kind}, not a function{_callables(loaded)}')
    name = getattr(handler, '__name__', function)
    return handler, name if isinstance(name, str) else function, _is_async(handler)


def _import(root, module):
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name
        if missing and (module == missing or module.startswith(missing + '.')):
            raise NotFound(_no_module(root, module, missing)) from None
        failure = error
    except BaseException as error:
        failure = error
    failure.__traceback__ = _from_module_on(failure.__traceback__)
    kind, message, stack = describe(failure)
    raise Broken(f'module {module} in {root} cannot be imported: {kind}: {message}', stack) from None


def _from_module_on(traceback):
    """The traceback without the import machinery that led to the module."""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith((OURS, '<frozen importlib')) and not file.endswith('importlib/__init__.py'):
            break
        traceback = traceback.tb_next
    return traceback


def _no_module(root, module, missing):
    text = f'there is no module {module} in {root}'
    if module != missing:
        text += f': {missing} is missing'
    if module.endswith('.py'):
        text += '; MOD_NAME is the name without ".py"'
    try:
        names = sorted(
            name[:-3] if name.endswith('.py') else name + '/'
            for name in os.listdir(root)
            if name.endswith('.py') or os.path.isdir(os.path.join(root, name))
        )
    except OSError as error:
        return f'{text}: the folder cannot be read: {error.strerror}'
    return f'{text}; it holds {_listed(names)}' if names else f'{text}, which holds no Python files'


def _no_function(root, module, loaded, function):
    text = f'there is no {function} in {_where(module, loaded)}{_callables(loaded)}'
    file = getattr(loaded, '__file__', None)
    if file and not os.path.realpath(file).startswith(os.path.realpath(root) + os.sep):
        text += f'. That is not the mount {root}: another module of this name comes first in sys.path'
    return text


def _where(module, loaded):
    file = getattr(loaded, '__file__', None)
    return f'module {module} ({file})' if file else f'module {module}'


def _callables(loaded):
    names = sorted(
        name
        for name, value in vars(loaded).items()
        if callable(value) and not name.startswith('_') and getattr(value, '__module__', None) == loaded.__name__
    )
    return f'; it has {_listed(names)}' if names else '; it has no functions'


def _listed(names, most=20):
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more


CO_COROUTINE, CO_ASYNC_GENERATOR = 0x80, 0x200


def _is_async(handler):
    """What `inspect` would say, without the time it takes to import it: a plain function is looked at directly."""
    seen = handler
    while type(seen).__name__ == 'partial' and hasattr(seen, 'func'):
        seen = seen.func
    if not hasattr(seen, '__code__') and not hasattr(seen, '__func__'):
        seen = getattr(type(seen), '__call__', seen)
    seen = getattr(seen, '__func__', seen)
    code = getattr(seen, '__code__', None)
    marked = getattr(seen, '_is_coroutine_mark', None) or getattr(seen, '_is_coroutine', None)
    return bool(marked) or bool(getattr(code, 'co_flags', 0) & (CO_COROUTINE | CO_ASYNC_GENERATOR))
