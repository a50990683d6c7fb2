// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/thread.h: the supervisor's threads that move bytes. */
#pragma once
#include <pthread.h>

/**
 * thread_start() - a thread with a small stack and every signal blocked: those are the main thread's
 *
 * Return: 0, or an errno value
 */
[[gnu::nonnull(1, 2)]] int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/** thread_drop_capabilities() - of the calling thread, for good. Return: 0, -1 with errno. */
int thread_drop_capabilities(void);
