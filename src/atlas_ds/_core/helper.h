/* One thread that shares the work of a large call. The core in csrc has no threads: this belongs to the
 * binding, which includes it once.
 *
 * A call asks with helper_give and is refused if another call has the helper (then it does all by itself), so nothing ever waits
 * for a helper. The thread is started by the first call that gets it; a forked child has none, and does without.
 */
#ifndef ATLAS_HELPER_H
#define ATLAS_HELPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define HELPER_SPINS 8000 /* looks before sleeping: about as long as waking a thread takes */

enum { HELPER_FREE, HELPER_TAKEN, HELPER_GIVEN, HELPER_BUSY, HELPER_DONE };

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int state;
    void (*work)(void *);
    void *given;
} helper;

static int helper_off;      /* this process does without */
static helper *the_helper; /* never freed: its thread waits until the process ends */
static int helper_claimed; /* a call is starting it */

static inline void helper_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Waits until the state is `wanted`: some looks, then asleep. */
static void helper_await(helper *h, int wanted) {
    for (int i = 0; i < HELPER_SPINS; i++) {
        if (__atomic_load_n(&h->state, __ATOMIC_ACQUIRE) == wanted) return;
        helper_pause();
    }
    pthread_mutex_lock(&h->lock);
    while (__atomic_load_n(&h->state, __ATOMIC_ACQUIRE) != wanted) pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void helper_set(helper *h, int state) {
    pthread_mutex_lock(&h->lock);
    __atomic_store_n(&h->state, state, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static bool helper_move(helper *h, int from, int to) {
    return __atomic_compare_exchange_n(&h->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void *helper_run(void *argument) {
    helper *h = argument;
    for (;;) {
        helper_await(h, HELPER_GIVEN);
        if (!helper_move(h, HELPER_GIVEN, HELPER_BUSY)) continue;
        h->work(h->given);
        helper_set(h, HELPER_DONE);
    }
    return NULL;
}

static void helper_forget(void) { /* in a forked child, where the thread is not */
    the_helper = NULL;
    helper_claimed = 0;
    helper_off = 1; /* it is most likely one of many workers */
}

static helper *helper_start(void) {
    helper *h = calloc(1, sizeof *h);
    pthread_attr_t plain;
    pthread_t thread;
    if (h == NULL) return NULL;
    bool started = false;
    if (pthread_mutex_init(&h->lock, NULL) == 0 && pthread_cond_init(&h->changed, NULL) == 0 && pthread_attr_init(&plain) == 0) {
        pthread_attr_setdetachstate(&plain, PTHREAD_CREATE_DETACHED);
        started = pthread_create(&thread, &plain, helper_run, h) == 0;
        pthread_attr_destroy(&plain);
    }
    if (started) return h;
    free(h);
    return NULL;
}

/* The helper begins work(given); NULL if it is busy or cannot be had. */
static helper *helper_give(void (*work)(void *), void *given) {
    helper *h = __atomic_load_n(&the_helper, __ATOMIC_ACQUIRE);
    if (h == NULL) {
        static bool handled;
        if (__atomic_exchange_n(&helper_claimed, 1, __ATOMIC_ACQ_REL) != 0) return NULL; /* being started, or it could not be */
        if (!handled && pthread_atfork(NULL, NULL, helper_forget) != 0) return NULL;
        handled = true;
        h = helper_start();
        if (h == NULL) return NULL;
        __atomic_store_n(&the_helper, h, __ATOMIC_RELEASE);
    }
    if (!helper_move(h, HELPER_FREE, HELPER_TAKEN)) return NULL;
    h->work = work;
    h->given = given;
    helper_set(h, HELPER_GIVEN);
    return h;
}

/* Takes the work back if it was not begun (the machine is busy: nobody waits for a thread that does not run); else returns when it
 * is done. Lets the helper go. */
static void helper_finish(helper *h) {
    if (helper_move(h, HELPER_GIVEN, HELPER_FREE)) return;
    helper_await(h, HELPER_DONE);
    __atomic_store_n(&h->state, HELPER_FREE, __ATOMIC_RELEASE);
}

#endif
