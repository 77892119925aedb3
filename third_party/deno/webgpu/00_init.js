// Deno's globals read their values from what `loadWebGPU` returns, when they are first asked for.
(function () {
  return { loadWebGPU: () => ({ initGPU() {} }) };
})();
