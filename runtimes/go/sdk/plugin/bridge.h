/*
 * Go cannot call C function pointers: these functions do it. They take addresses as plain numbers and bytes as
 * pointers to bytes, because cgo examines every other kind of pointer at every call.
 */
#ifndef FUNCHOST_BRIDGE_H
#define FUNCHOST_BRIDGE_H

#include "funchost.h"

/* Set once, by funchost_start. */
extern const funchost_host *funchost_the_host;

static inline funchost_bytes funchost_bytes_of(const uint8_t *data, uint64_t len) {
	funchost_bytes bytes = {data, len};
	return bytes;
}

static inline void funchost_reply(uintptr_t call, uint32_t status, const uint8_t *headers, uint64_t headers_len,
                                  const uint8_t *type, uint64_t type_len, const uint8_t *body, uint64_t body_len) {
	funchost_the_host->reply((funchost_call *)call, status, funchost_bytes_of(headers, headers_len),
	                         funchost_bytes_of(type, type_len), funchost_bytes_of(body, body_len));
}

static inline void funchost_begin(uintptr_t call, uint32_t status, const uint8_t *headers, uint64_t headers_len,
                                  const uint8_t *type, uint64_t type_len) {
	funchost_the_host->begin((funchost_call *)call, status, funchost_bytes_of(headers, headers_len),
	                         funchost_bytes_of(type, type_len));
}

static inline uint32_t funchost_chunk(uintptr_t call, const uint8_t *piece, uint64_t len) {
	return funchost_the_host->chunk((funchost_call *)call, funchost_bytes_of(piece, len));
}

static inline void funchost_end(uintptr_t call) {
	funchost_the_host->end((funchost_call *)call);
}

static inline void funchost_fail(uintptr_t call, const uint8_t *kind, uint64_t kind_len, const uint8_t *message,
                                 uint64_t message_len, const uint8_t *stack, uint64_t stack_len) {
	funchost_the_host->fail((funchost_call *)call, funchost_bytes_of(kind, kind_len),
	                        funchost_bytes_of(message, message_len), funchost_bytes_of(stack, stack_len));
}

static inline int64_t funchost_read(uintptr_t call, uint8_t *into, uint64_t len) {
	return funchost_the_host->read((funchost_call *)call, into, len);
}

static inline void funchost_why(uintptr_t call, funchost_failure *why) {
	funchost_the_host->failure((funchost_call *)call, why);
}

static inline void funchost_stuck(uintptr_t call, const uint8_t *stack, uint64_t stack_len) {
	funchost_the_host->stuck((funchost_call *)call, funchost_bytes_of(stack, stack_len));
}

static inline void funchost_goroutines(uint64_t count) {
	funchost_the_host->goroutines(count);
}

static inline void funchost_release(uintptr_t call) {
	funchost_the_host->release((funchost_call *)call);
}

static inline void funchost_collect(void) {
	funchost_the_host->collect();
}

static inline void funchost_flush(void) {
	funchost_the_host->flush();
}

#endif
