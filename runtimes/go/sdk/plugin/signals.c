#include <signal.h>
#include <stddef.h>

extern int __sigaction(int signal, const struct sigaction *action, struct sigaction *old);

/*
 * Go's runtime sets signal handlers through the C library's sigaction. In this library the name leads here: SIGTERM
 * and SIGINT mean that the server should stop, so a function's signal.Notify must not take them. It is told that it
 * has, and never hears of one. Hidden, so that nothing outside of this library is concerned.
 */
__attribute__((visibility("hidden"))) int sigaction(int signal, const struct sigaction *action,
                                                    struct sigaction *old) {
	if (signal == SIGTERM || signal == SIGINT) {
		action = NULL;
	}
	return __sigaction(signal, action, old);
}
