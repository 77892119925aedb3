#include "bridge.h"

__attribute__((visibility("default"))) const uint32_t funchost_abi = FUNCHOST_ABI;

const funchost_host *funchost_the_host;
