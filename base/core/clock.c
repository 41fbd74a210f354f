#include "base/core/clock.h"

#include "base/core/macros.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define STEP_US   (60 * SECOND_US) /* services that adjust a clock slowly never do that in one go */

/* A time that goes on: us at boot_us of the clock that also counts a suspended machine's sleep. */
struct mark {
    int64_t us, boot_us;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* both roles ask, and the main thread */
static struct {
    int64_t offset_us;               /* of tests */
    struct mark build, floor, known; /* us 0: none */
    int64_t correction_us;
    int64_t skew_us; /* machine's minus boot clock at the last look */
    bool has_skew;
} k;

static _Atomic uint64_t mono_ahead_ms; /* of tests */

static int64_t read_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * SECOND_US + ts.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
    return (uint64_t)read_us(CLOCK_MONOTONIC) / 1000 + atomic_load(&mono_ahead_ms);
}

/* ---- with the lock held ---- */

struct reading {
    int64_t machine_us, boot_us;
};

static int64_t running(struct mark m, int64_t boot_us)
{
    return m.us ? m.us + boot_us - m.boot_us : 0;
}

static void forget(void)
{
    k.correction_us = 0;
    k.floor = k.known = (struct mark){ 0 };
}

/* Reads both clocks and notices that the machine's was set. */
static struct reading look(void)
{
    struct reading r = { read_us(CLOCK_REALTIME) + k.offset_us, read_us(CLOCK_BOOTTIME) };
    int64_t skew_us = r.machine_us - r.boot_us;

    if (k.has_skew && llabs(skew_us - k.skew_us) > STEP_US)
        forget();
    k.skew_us = skew_us;
    k.has_skew = true;
    return r;
}

static int64_t floor_us(struct reading r)
{
    return MAX(running(k.build, r.boot_us), running(k.floor, r.boot_us));
}

/* ---- reading ---- */

int64_t clock_wall_us(void)
{
    int64_t us;

    pthread_mutex_lock(&lock);
    struct reading r = look();
    us = MAX(r.machine_us + k.correction_us, floor_us(r));
    pthread_mutex_unlock(&lock);
    return us;
}

int64_t clock_wall_s(void)
{
    return clock_wall_us() / SECOND_US;
}

int64_t clock_machine_s(void)
{
    int64_t us;

    pthread_mutex_lock(&lock);
    us = look().machine_us;
    pthread_mutex_unlock(&lock);
    return us / SECOND_US;
}

int64_t clock_floor_s(void)
{
    int64_t us;

    pthread_mutex_lock(&lock);
    us = floor_us(look());
    pthread_mutex_unlock(&lock);
    return us / SECOND_US;
}

int64_t clock_known_s(void)
{
    int64_t us;

    pthread_mutex_lock(&lock);
    us = running(k.known, look().boot_us);
    pthread_mutex_unlock(&lock);
    return us / SECOND_US;
}

bool clock_is_synced(void)
{
    struct timex t = { 0 }; /* modes 0: only asks */
    bool faked;

    pthread_mutex_lock(&lock);
    faked = k.offset_us != 0;
    pthread_mutex_unlock(&lock);
    return !faked && adjtimex(&t) != TIME_ERROR && !(t.status & STA_UNSYNC);
}

/* ---- knowing better ---- */

void clock_set_build_s(int64_t unix_s)
{
    pthread_mutex_lock(&lock);
    k.build = (struct mark){ unix_s * SECOND_US, look().boot_us };
    pthread_mutex_unlock(&lock);
}

void clock_raise_floor_s(int64_t unix_s)
{
    pthread_mutex_lock(&lock);
    struct reading r = look();
    if (unix_s * SECOND_US > running(k.floor, r.boot_us))
        k.floor = (struct mark){ unix_s * SECOND_US, r.boot_us };
    pthread_mutex_unlock(&lock);
}

void clock_learn_s(int64_t unix_s)
{
    pthread_mutex_lock(&lock);
    k.correction_us = unix_s * SECOND_US - look().machine_us;
    pthread_mutex_unlock(&lock);
}

void clock_trust_machine(void)
{
    pthread_mutex_lock(&lock);
    forget();
    pthread_mutex_unlock(&lock);
}

void clock_confirm_s(int64_t unix_s)
{
    pthread_mutex_lock(&lock);
    k.known = (struct mark){ unix_s * SECOND_US, look().boot_us };
    pthread_mutex_unlock(&lock);
}

void clock_set_offset_s(int64_t offset_s)
{
    pthread_mutex_lock(&lock);
    look();
    k.offset_us = offset_s * SECOND_US;
    look();
    pthread_mutex_unlock(&lock);
}

void clock_advance_mono_ms(uint64_t by_ms)
{
    atomic_fetch_add(&mono_ahead_ms, by_ms);
}
