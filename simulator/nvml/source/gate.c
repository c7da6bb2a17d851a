/* The gate that every call passes: the control table, the clock, injected faults, and the count of calls. */
#define _GNU_SOURCE
#include "stub.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000LL
/* A missed wake-up costs at most this. */
#define SLICE_MS 50
/* A writer that died half way leaves the sequence odd; after as many looks the table is read as it is. */
#define PATIENCE 2000

struct table *table;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char mapped_path[4096];
static uint32_t generation; /* of the driver that this library came with */
static int references;
static struct handle handles[MAX_GPUS][MAX_INSTANCES + 1];

int64_t real_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 * MS + now.tv_nsec;
}

static uint32_t sequence_now(void) {
    return __atomic_load_n(&table->sequence, __ATOMIC_ACQUIRE);
}

/* Calls `read` until nobody wrote meanwhile. */
static void consistently(void (*read)(void *), void *context) {
    for (int attempt = 0;; attempt++) {
        uint32_t before = sequence_now();
        if (before % 2 == 0 || attempt > PATIENCE) {
            read(context);
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (sequence_now() == before)
                return;
        }
        if (attempt > 20)
            usleep(100);
        else
            sched_yield();
    }
}

/* Map the file that the environment names. The library is as old as its driver at this moment. */
static void map_table(void) {
    const char *path = getenv("FLEETOWL_NVML_STUB");
    if (path == NULL || strcmp(path, mapped_path) == 0 || strlen(path) >= sizeof mapped_path)
        return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    struct stat status;
    struct table *mapped = MAP_FAILED;
    if (fstat(file, &status) == 0 && status.st_size == sizeof(struct table))
        mapped = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED)
        return;
    if (mapped->magic != MAGIC || mapped->size != sizeof(struct table)) {
        munmap(mapped, sizeof(struct table));
        return;
    }
    /* The one before stays mapped: a call may still hang in it. */
    table = mapped;
    generation = mapped->generation;
    strcpy(mapped_path, path);
}

__attribute__((constructor)) static void loaded(void) {
    map_table();
}

device handle_of(int slot, int instance, uint32_t epoch) {
    struct handle *handle = &handles[slot][instance + 1];
    handle->gpu = slot;
    handle->instance = instance;
    handle->epoch = epoch;
    return handle;
}

static int is_handle(device handle) {
    const struct handle *first = &handles[0][0];
    uintptr_t distance = (uintptr_t)handle - (uintptr_t)first;
    return handle >= first && distance < sizeof handles && distance % sizeof *first == 0;
}

struct rule_question {
    enum call call;
    int slot;
    struct rule rule;
    int64_t now;
    uint32_t sequence;
};

/* The rules for the call and for any call, on the GPU and on any, all at once: the longest and first of each. */
static void read_rule(void *context) {
    struct rule_question *question = context;
    const int rows[] = {(int)question->call, ANY_CALL};
    memset(&question->rule, 0, sizeof question->rule);
    question->sequence = sequence_now();
    question->now = table->stepped ? table->clock : real_now();
    for (int i = 0; i < 4; i++) {
        if (i / 2 == 1 && question->slot < 0)
            break;
        const struct rule *rule = &table->rules[rows[i % 2]][i / 2 == 0 ? 0 : question->slot + 1];
        if (rule->latency_ms > question->rule.latency_ms)
            question->rule.latency_ms = rule->latency_ms;
        if (rule->hang_until > question->rule.hang_until)
            question->rule.hang_until = rule->hang_until;
        if (question->rule.code == OK)
            question->rule.code = rule->code;
    }
}

void wait_for_change(uint32_t sequence, int64_t ms) {
    if (ms > SLICE_MS)
        ms = SLICE_MS;
    struct timespec slice = {.tv_nsec = ms * MS};
    syscall(SYS_futex, &table->sequence, FUTEX_WAIT, sequence, &slice, NULL, 0);
}

/* A free line of the list of blocked calls, so that the test sees who hangs; NULL if there are too many. */
static struct blocked *blocked_line(enum call call, int slot, int hanging) {
    for (int i = 0; i < MAX_BLOCKED; i++) {
        struct blocked *line = &table->blocked[i];
        int32_t pid = __atomic_load_n(&line->pid, __ATOMIC_ACQUIRE);
        if (pid != 0 && !(kill(pid, 0) < 0 && errno == ESRCH))
            continue;
        if (__atomic_compare_exchange_n(&line->pid, &pid, getpid(), 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            line->call = call;
            line->gpu = slot;
            line->hanging = (uint32_t)hanging;
            return line;
        }
    }
    return NULL;
}

static result obey(enum call call, int slot) {
    struct rule_question question = {.call = call, .slot = slot};
    consistently(read_rule, &question);
    int hanging = question.rule.hang_until > question.now;
    if (hanging || question.rule.latency_ms > 0) {
        struct blocked *line = blocked_line(call, slot, hanging);
        if (question.rule.latency_ms > 0)
            usleep(question.rule.latency_ms * 1000);
        while (question.rule.hang_until > question.now) {
            int64_t left = (question.rule.hang_until - question.now) / MS + 1;
            wait_for_change(question.sequence, table->stepped ? SLICE_MS : left);
            consistently(read_rule, &question);
        }
        if (line != NULL)
            __atomic_store_n(&line->pid, 0, __ATOMIC_RELEASE);
    }
    return question.rule.code;
}

static void count(enum call call, int slot) {
    __atomic_fetch_add(&table->calls[call][slot + 1], 1, __ATOMIC_RELAXED);
}

static int is_outdated(void) {
    return __atomic_load_n(&table->generation, __ATOMIC_ACQUIRE) != generation;
}

static result enter_any(enum call call, int slot) {
    if (table == NULL || references == 0)
        return UNINITIALIZED;
    count(call, slot);
    result code = obey(call, slot);
    return is_outdated() ? LIBRARY_MISMATCH : code;
}

result enter_system(enum call call) {
    return enter_any(call, -1);
}

static void read_view(void *context) {
    struct view *view = context;
    /* The clock is read before the look is known to be good, so no counter is read past a change of its rate. */
    view->now = table->stepped ? table->clock : real_now();
    view->gpu = table->gpus[view->slot];
}

void look(int slot, struct view *view) {
    view->slot = slot;
    view->instance = -1;
    consistently(read_view, view);
}

result enter_slot(enum call call, int slot, enum scope scope, struct view *view) {
    result code = enter_any(call, slot);
    if (code != OK)
        return code;
    look(slot, view);
    if (!view->gpu.listed)
        return GPU_NOT_FOUND;
    if (view->gpu.state == GPU_IS_LOST || scope != IDENTITY)
        return (result)view->gpu.state;
    return OK;
}

result enter(enum call call, device handle, enum scope scope, struct view *view) {
    if (table == NULL || references == 0)
        return UNINITIALIZED;
    if (!is_handle(handle))
        return INVALID_ARGUMENT;
    result code = enter_slot(call, handle->gpu, scope, view);
    if (code != OK || handle->instance < 0)
        return code;
    view->instance = handle->instance;
    if (handle->epoch != view->gpu.mig_epoch || handle->instance >= (int)view->gpu.instance_count)
        return INVALID_ARGUMENT;
    return scope == WHOLE ? NOT_SUPPORTED : OK;
}

uint64_t count_at(const struct counter *counter, int64_t now) {
    double seconds = (double)(now - counter->since) / 1e9;
    double grown = counter->part + (seconds > 0 ? counter->rate * seconds : 0);
    return counter->whole + (grown > 0 ? (uint64_t)grown : 0);
}

double exact_at(const struct counter *counter, int64_t now) {
    double seconds = (double)(now - counter->since) / 1e9;
    return (double)counter->whole + counter->part + counter->rate * seconds;
}

result put_text(char *to, unsigned size, const char *text) {
    NEED(to);
    if (strlen(text) >= size)
        return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return OK;
}

static result initialise(enum call call) {
    pthread_mutex_lock(&lock);
    if (references == 0)
        map_table();
    pthread_mutex_unlock(&lock);
    if (table == NULL)
        return DRIVER_NOT_LOADED;
    count(call, -1);
    result code = obey(call, -1);
    if (code == OK)
        code = __atomic_load_n(&table->init_code, __ATOMIC_ACQUIRE);
    if (code == OK && is_outdated())
        code = LIBRARY_MISMATCH;
    if (code == OK)
        __atomic_fetch_add(&references, 1, __ATOMIC_ACQ_REL);
    return code;
}

EXPORT result nvmlInit(void) {
    return initialise(CALL_nvmlInit);
}

EXPORT result nvmlInit_v2(void) {
    return initialise(CALL_nvmlInit_v2);
}

EXPORT result nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    return initialise(CALL_nvmlInitWithFlags);
}

EXPORT result nvmlShutdown(void) {
    if (table == NULL || references == 0)
        return UNINITIALIZED;
    count(CALL_nvmlShutdown, -1);
    result code = obey(CALL_nvmlShutdown, -1);
    if (code == OK)
        __atomic_fetch_sub(&references, 1, __ATOMIC_ACQ_REL);
    return code;
}
