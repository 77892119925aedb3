//! Starting functions.

use std::ops::Deref;

use testkit::{Answer, Client, HostProcess, Launch, Mount};

/// The program under test.
pub(crate) fn program() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_funchost-nodejs"))
}

/// A running function. Ends with the test.
pub(crate) struct Function {
    pub(crate) host: HostProcess,
    client: Client,
    _mount: Mount,
}

impl Function {
    /// Serves `handler` of a CommonJS module with this code.
    pub(crate) fn serve(code: &str) -> Self {
        Self::serve_with(code, &[])
    }

    /// The same, with more environment variables.
    pub(crate) fn serve_with(code: &str, variables: &[(&str, &str)]) -> Self {
        Self::serve_mount(Mount::with("function.js", code), variables)
    }

    /// Serves `function.handler` of this mount.
    pub(crate) fn serve_mount(mount: Mount, variables: &[(&str, &str)]) -> Self {
        let launch = program().function(mount.path(), "function", "handler");
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let host = launch.start();
        Self { client: host.client(), host, _mount: mount }
    }

    /// A function that answers with the value of the JavaScript expression it is sent; `request`, `response`, `event`
    /// and `context` are what the function was called with.
    pub(crate) fn evaluating(imports: &str) -> Self {
        Self::serve(&format!(
            "{imports}\n\
             exports.handler = async (event, context) => {{\n\
             \x20 const {{ request, response }} = event.extensions\n\
             \x20 return eval(String(event.data))\n\
             }}\n"
        ))
    }

    /// What a function that evaluates makes of `expression`.
    pub(crate) fn eval(&self, expression: &str) -> Answer {
        self.client.post("/", "text/javascript", expression)
    }
}

impl Deref for Function {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Runs the same thing in several threads at once and collects what each has brought.
pub(crate) fn at_once<T: Send>(count: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of the test")).collect()
    })
}
