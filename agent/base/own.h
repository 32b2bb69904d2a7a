/* SPDX-License-Identifier: Apache-2.0 */
/* own.h - ownership of locals: CLEAN frees at the end of the scope, TAKE hands over. */
#ifndef SLID_OWN_H
#define SLID_OWN_H

#include <stdlib.h>
#include <unistd.h>

static inline void own_free(void *ptr)
{
	free(*(void **)ptr);
}

static inline void own_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* CLEAN(noun__free) struct noun *x = ...; calls noun__free(x) when x leaves its scope. */
#define CLEAN(fn) __attribute__((cleanup(fn##_p)))
#define CLEAN_FREE __attribute__((cleanup(own_free)))
#define CLEAN_FD __attribute__((cleanup(own_close)))
/* DEFINE_CLEAN(struct noun, noun__free) beside the declaration of noun__free makes CLEAN work. */
#define DEFINE_CLEAN(type, fn)                                                                     \
	static inline void fn##_p(type **ptr)                                                      \
	{                                                                                          \
		fn(*ptr);                                                                          \
	}
#define TAKE(ptr)                                                                                  \
	__extension__({                                                                            \
		__typeof__(ptr) taken_ = (ptr);                                                    \
		(ptr) = NULL;                                                                      \
		taken_;                                                                            \
	})

#endif
