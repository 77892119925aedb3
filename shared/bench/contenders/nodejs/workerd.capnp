using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  # The address is given on the command line.
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "workerd.mjs", esModule = embed "workerd.mjs"),
    (name = "fetch.mjs", esModule = embed "fetch.mjs"),
  ],
  bindings = [(name = "FUNCTION", fromEnvironment = "FUNCTION")],
  compatibilityDate = "2026-11-01",
);
