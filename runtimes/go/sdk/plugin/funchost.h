/*
 * The binary interface between a function built as a C shared library (the plugin, Go) and the host that opens it.
 * This file is the only description of it; the host's mirror is runtimes/go/src/ffi.rs. Any change of a declaration
 * below raises FUNCHOST_ABI.
 *
 * Threads. After funchost_start the host never calls into the plugin: calls and news about calls go through the
 * queue, which a goroutine of the plugin empties. So no thread of the host is ever held up by Go, and no Go
 * processor is ever held by a thread of the host. The plugin calls the functions of funchost_host from any of its
 * threads, many at once; none of them blocks.
 *
 * Ownership. Everything is counted by references to funchost_call, which the host allocates and frees. An entry in
 * the queue is one reference. Taking an entry with FUNCHOST_INVOKE gives the plugin a reference that lasts until it
 * calls exactly one of reply, end and fail; any other entry's reference is given back with release once the entry's
 * events are dealt with. While the plugin has a reference, the call and what it points to stay where they are, and
 * head and body do not change. Buffers that the plugin passes to a function are the plugin's; the host has copied
 * what it needs when the function returns.
 *
 * Bodies. A function that takes them as they come gets a streamed call: the plugin reads, and only then does the host
 * ask the client for more. One goroutine at a time reads.
 */
#ifndef FUNCHOST_H
#define FUNCHOST_H

#include <stdint.h>

#define FUNCHOST_ABI 3

/* What an entry of the queue tells; bits of funchost_call.events. */
#define FUNCHOST_INVOKE 1u /* run the handler: the first entry of every call, and only that */
#define FUNCHOST_CANCEL 2u /* `cancelled` has been set */
#define FUNCHOST_ROOM 4u   /* after FUNCHOST_WAIT: the client has taken enough, go on */
#define FUNCHOST_BODY 8u   /* after `read` has returned 0: read again */

/* Values of funchost_call.cancelled: why nobody waits for the call any more. */
#define FUNCHOST_DEADLINE 1u
#define FUNCHOST_CLIENT_GONE 2u
#define FUNCHOST_SHUTDOWN 3u

/* What `chunk` says. */
#define FUNCHOST_GO_ON 0u /* taken, more is welcome */
#define FUNCHOST_WAIT 1u  /* taken, but send no more before FUNCHOST_ROOM */
#define FUNCHOST_GONE 2u  /* not taken: nobody reads any more */

/* Bytes that are not NUL-terminated; data may be NULL when len is 0. */
typedef struct {
	const uint8_t *data;
	uint64_t len;
} funchost_bytes;

/* Values of funchost_failure.kind: why a body ends before its end. */
#define FUNCHOST_TOO_LARGE 1u  /* it has more than `limit` bytes */
#define FUNCHOST_INCOMPLETE 2u /* the client has gone */
#define FUNCHOST_SLOW 3u       /* the client sent nothing for too long */
#define FUNCHOST_MALFORMED 4u  /* it is not what HTTP or its content coding want */

typedef struct {
	uint32_t kind;
	uint64_t limit;
	funchost_bytes text; /* for people; stays as long as the call does */
} funchost_failure;

typedef struct funchost_call {
	/* The next older entry. Belongs to the queue while the call is in it. */
	struct funchost_call *next;
	/* Atomic. Set by the host, taken by the plugin. The call is in the queue from when this stops being 0 until
	 * the plugin sets it to 0, so `next` is read before. */
	uint32_t events;
	/* Atomic. 0 while somebody waits for the call. */
	uint32_t cancelled;
	/* The deadline, in nanoseconds after funchost_start returned. */
	int64_t deadline;
	/* The request without its body: a count n and n lengths, each 4 bytes, little endian, then n texts of those
	 * lengths: method, URI, protocol, host, remote address, then names (in canonical form) and values of the
	 * headers in turn. */
	funchost_bytes head;
	/* The whole body, unless it is streamed. */
	funchost_bytes body;
	/* 1: the body is there to be read with `read`. */
	uint32_t streamed;
	/* The plugin's own: the goroutine that runs the handler. 0 when the call comes. */
	uint64_t goroutine;
} funchost_call;

/* Entries, newest first. The host puts a call in front; the plugin takes all at once by setting `newest` to NULL.
 * All are atomic but `wake`, and every access is sequentially consistent. */
typedef struct {
	funchost_call *newest;
	/* 1 while the plugin waits, or is about to, for `wake`: whoever puts an entry in and finds 1 here sets 0 and
	 * wakes the plugin. */
	uint32_t parked;
	/* A non-blocking eventfd. It is watched for edges, never read. */
	int32_t wake;
	/* 1 when the host wants to know how many goroutines there are; the plugin sets it to 0 and answers with
	 * `goroutines`. */
	uint32_t ask;
} funchost_queue;

/* What the host brings; stays valid for the life of the process. */
typedef struct {
	uint32_t abi; /* FUNCHOST_ABI of the host */
	/* How many processors Go should use, 0 for no advice. GOMAXPROCS in the environment wins. */
	uint32_t cpus;
	/* Bytes that Go may use, 0 for no limit. GOMEMLIMIT in the environment wins. */
	int64_t memory;
	/* A file that takes the report when the Go runtime ends the process, if there is one; may be empty. */
	funchost_bytes crash_log;
	/* The function's context. */
	funchost_bytes function_name;
	funchost_bytes timeout;
	funchost_bytes runtime;
	funchost_bytes memory_limit;
	funchost_queue *queue;

	/* Headers, wherever they are passed: for each the lengths of name and value, 4 bytes each, little endian, then
	 * name and value. media_type, when not empty, is one more header, Content-Type. */

	/* The whole reply at once. Ends the call. */
	void (*reply)(funchost_call *, uint32_t status, funchost_bytes headers, funchost_bytes media_type,
	              funchost_bytes body);
	/* The head of a reply whose body follows in chunks. */
	void (*begin)(funchost_call *, uint32_t status, funchost_bytes headers, funchost_bytes media_type);
	/* A piece of the body, after begin. Returns one of FUNCHOST_GO_ON, FUNCHOST_WAIT, FUNCHOST_GONE. */
	uint32_t (*chunk)(funchost_call *, funchost_bytes piece);
	/* The body is complete. Ends the call. */
	void (*end)(funchost_call *);
	/* The handler returned an error or panicked, at any point. `kind` is the error's Go type. Ends the call. */
	void (*fail)(funchost_call *, funchost_bytes kind, funchost_bytes message, funchost_bytes stack);
	/* The next bytes of a streamed body, copied to `into`, which has room for `len` > 0. Returns how many; 0 when
	 * there are none yet, and FUNCHOST_BODY follows; -1 at the end; -2 when there will be no more and that is not
	 * the end, for which `failure` gives the reason. */
	int64_t (*read)(funchost_call *, uint8_t *into, uint64_t len);
	void (*failure)(funchost_call *, funchost_failure *why);
	/* Where the handler of a call was that was cancelled because its deadline had come, as Go prints stacks. Says so
	 * while the plugin has the reference of the entry that told it. */
	void (*stuck)(funchost_call *, funchost_bytes stack);
	/* How many goroutines there are. */
	void (*goroutines)(uint64_t count);
	/* Gives back the reference of an entry without FUNCHOST_INVOKE. */
	void (*release)(funchost_call *);
	/* Many calls are about to end: until flush the host may put off looking at them, to look at all at once. */
	void (*collect)(void);
	void (*flush)(void);
} funchost_host;

/* What the plugin says about itself; its texts are never freed. */
typedef struct {
	funchost_bytes handler;    /* the name of the handler it was built for */
	funchost_bytes go_version; /* as in go1.26.1 */
	uint32_t streams;          /* 1: the handler takes bodies as they come */
} funchost_plugin;

/* Symbols of the plugin:
 *
 * const uint32_t funchost_abi;
 *     FUNCHOST_ABI of the plugin, read before anything else is called.
 *
 * void funchost_start(const funchost_host *host, funchost_plugin *about);
 *     Called once. Returns when the plugin's packages are initialised and its goroutine waits for calls.
 */

#endif
