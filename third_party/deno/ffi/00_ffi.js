(function () {
  return {};
})();
