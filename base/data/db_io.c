/*
 * A VFS of SQLite in front of its own "unix-excl" (sqlite.org/vfs.html): calls pass through, those
 * that change the disk past the gate and the counter. unix-excl holds its locks for the process and
 * keeps the log's index on the heap, shared by the connections of the process.
 *
 * SQLite writes a log frame by frame, each as a header and a page: a dozen calls for one small
 * commit. What follows one another is gathered here and goes to the kernel in one, at the latest
 * before the sync that ends each commit (synchronous=FULL, db.c); before it nobody else reads it.
 */
#include "base/data/db_io_impl.h"

#include "base/core/macros.h"
#include "base/core/mem.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { GATHER_BYTES = 64 << 10 };

struct io_file {
    sqlite3_file base;     /* what SQLite sees */
    const char *path;      /* SQLite's memory, as long as the file is open */
    struct io_file *owner; /* a log's database file; else itself */
    uint64_t written;      /* by this connection, logs included; only its thread is here */
    bool gathers;          /* a log of a database in WAL mode */
    char *gathered;        /* GATHER_BYTES, from the first write on */
    size_t n_gathered;
    int64_t gathered_at;
    sqlite3_file *real; /* lies behind this struct */
};

static db_io_gate_fn gate;
static void *gate_arg;
static sqlite3_vfs vfs;
static _Thread_local int failed_errno;

void db_io_gate_set(db_io_gate_fn fn, void *arg)
{
    gate = fn;
    gate_arg = arg;
}

static struct io_file *of(sqlite3_file *f)
{
    return container_of(f, struct io_file, base);
}

/* SQLite itself forgets the errno of a commit that failed. */
static int noted(int rc)
{
    if (rc != SQLITE_OK)
        failed_errno = errno;
    return rc;
}

/* SQLITE_OK, or what SQLite calls the gate's errno. */
static int pass(const struct db_io_call *call, int failed)
{
    int sys = gate && call->path ? gate(gate_arg, call) : 0; /* without: a sort's scratch file */

    if (!sys)
        return SQLITE_OK;
    errno = sys;
    return noted(sys == ENOSPC && call->op == DB_IO_WRITE ? SQLITE_FULL : failed);
}

/* ---- writes ---- */

static int write_now(struct io_file *io, struct str bytes, int64_t at)
{
    struct db_io_call call = { DB_IO_WRITE, io->path, at, bytes };
    int rc = pass(&call, SQLITE_IOERR_WRITE);

    if (rc != SQLITE_OK)
        return rc;
    io->owner->written += bytes.n;
    return noted(io->real->pMethods->xWrite(io->real, bytes.p, (int)bytes.n, at));
}

/* What fails is gone: SQLite rolls back, and writes to the same place next time. */
static int flush(struct io_file *io)
{
    struct str bytes = str_n(io->gathered, io->n_gathered);

    io->n_gathered = 0;
    return bytes.n ? write_now(io, bytes, io->gathered_at) : SQLITE_OK;
}

static int gather(struct io_file *io, struct str bytes, int64_t at)
{
    int rc;

    if (io->n_gathered + bytes.n > GATHER_BYTES ||
        at != io->gathered_at + (int64_t)io->n_gathered) {
        rc = flush(io);
        if (rc != SQLITE_OK)
            return rc;
        io->gathered_at = at;
    }
    if (!io->gathered)
        io->gathered = mem_alloc(GATHER_BYTES);
    memcpy(io->gathered + io->n_gathered, bytes.p, bytes.n);
    io->n_gathered += bytes.n;
    return SQLITE_OK;
}

/* ---- files ---- */

static int io_close(sqlite3_file *f)
{
    struct io_file *io = of(f);
    int rc = flush(io), closed = io->real->pMethods->xClose(io->real);

    free(io->gathered);
    io->gathered = NULL;
    return rc != SQLITE_OK ? rc : closed;
}

static int io_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    struct io_file *io = of(f);
    int rc = flush(io);

    if (rc == SQLITE_OK)
        rc = io->real->pMethods->xRead(io->real, p, n, at);
    return rc == SQLITE_IOERR_SHORT_READ ? rc : noted(rc); /* short: behind the end, no error */
}

static int io_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    struct io_file *io = of(f);
    struct str bytes = str_n(p, (size_t)n);

    return io->gathers && bytes.n <= GATHER_BYTES ? gather(io, bytes, at)
                                                  : write_now(io, bytes, at);
}

static int io_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct io_file *io = of(f);
    struct db_io_call call = { .op = DB_IO_TRUNCATE, .path = io->path, .at = size };
    int rc = flush(io);

    if (rc == SQLITE_OK)
        rc = pass(&call, SQLITE_IOERR_TRUNCATE);
    return rc != SQLITE_OK ? rc : noted(io->real->pMethods->xTruncate(io->real, size));
}

static int io_sync(sqlite3_file *f, int flags)
{
    struct io_file *io = of(f);
    struct db_io_call call = { .op = DB_IO_SYNC, .path = io->path };
    int rc = flush(io);

    if (rc == SQLITE_OK)
        rc = pass(&call, SQLITE_IOERR_FSYNC);
    return rc != SQLITE_OK ? rc : noted(io->real->pMethods->xSync(io->real, flags));
}

static int io_size(sqlite3_file *f, sqlite3_int64 *size)
{
    int rc = flush(of(f));

    return rc != SQLITE_OK ? rc : of(f)->real->pMethods->xFileSize(of(f)->real, size);
}

static int io_lock(sqlite3_file *f, int level)
{
    return of(f)->real->pMethods->xLock(of(f)->real, level);
}

static int io_unlock(sqlite3_file *f, int level)
{
    return of(f)->real->pMethods->xUnlock(of(f)->real, level);
}

static int io_check_lock(sqlite3_file *f, int *held)
{
    return of(f)->real->pMethods->xCheckReservedLock(of(f)->real, held);
}

static int io_control(sqlite3_file *f, int op, void *arg)
{
    return of(f)->real->pMethods->xFileControl(of(f)->real, op, arg);
}

static int io_sector(sqlite3_file *f)
{
    return of(f)->real->pMethods->xSectorSize(of(f)->real);
}

static int io_traits(sqlite3_file *f)
{
    return of(f)->real->pMethods->xDeviceCharacteristics(of(f)->real);
}

static int io_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **p)
{
    return of(f)->real->pMethods->xShmMap(of(f)->real, region, size, extend, p);
}

static int io_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return of(f)->real->pMethods->xShmLock(of(f)->real, offset, n, flags);
}

static void io_shm_barrier(sqlite3_file *f)
{
    of(f)->real->pMethods->xShmBarrier(of(f)->real);
}

static int io_shm_unmap(sqlite3_file *f, int delete_it)
{
    return of(f)->real->pMethods->xShmUnmap(of(f)->real, delete_it);
}

/* Version 2: the methods of version 3 are for mapped files, which are off (db.c). */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = io_close,
    .xRead = io_read,
    .xWrite = io_write,
    .xTruncate = io_truncate,
    .xSync = io_sync,
    .xFileSize = io_size,
    .xLock = io_lock,
    .xUnlock = io_unlock,
    .xCheckReservedLock = io_check_lock,
    .xFileControl = io_control,
    .xSectorSize = io_sector,
    .xDeviceCharacteristics = io_traits,
    .xShmMap = io_shm_map,
    .xShmLock = io_shm_lock,
    .xShmBarrier = io_shm_barrier,
    .xShmUnmap = io_shm_unmap,
};

/* ---- the file system ---- */

static sqlite3_vfs *real_of(sqlite3_vfs *v)
{
    return v->pAppData;
}

static int io_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags, int *out_flags)
{
    struct io_file *io = of(f);
    int rc;

    *io = (struct io_file){ .path = path, .owner = io, .real = (sqlite3_file *)(io + 1) };
    if (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL))
        io->owner = of(sqlite3_database_file_object(path));
    io->gathers = (flags & SQLITE_OPEN_WAL) != 0;
    rc = real_of(v)->xOpen(real_of(v), path, io->real, flags, out_flags);
    if (io->real->pMethods) /* else there is nothing to close */
        io->base.pMethods = &methods;
    return rc;
}

static int io_delete(sqlite3_vfs *v, const char *path, int sync_dir)
{
    struct db_io_call call = { .op = DB_IO_DELETE, .path = path };
    int rc = pass(&call, SQLITE_IOERR_DELETE);

    return rc != SQLITE_OK ? rc : real_of(v)->xDelete(real_of(v), path, sync_dir);
}

static int io_access(sqlite3_vfs *v, const char *path, int flags, int *out)
{
    return real_of(v)->xAccess(real_of(v), path, flags, out);
}

static int io_full_path(sqlite3_vfs *v, const char *path, int n, char *out)
{
    return real_of(v)->xFullPathname(real_of(v), path, n, out);
}

static int io_random(sqlite3_vfs *v, int n, char *out)
{
    return real_of(v)->xRandomness(real_of(v), n, out);
}

static int io_sleep(sqlite3_vfs *v, int us)
{
    return real_of(v)->xSleep(real_of(v), us);
}

static int io_last_error(sqlite3_vfs *v, int n, char *out)
{
    return real_of(v)->xGetLastError(real_of(v), n, out);
}

static int io_time(sqlite3_vfs *v, sqlite3_int64 *ms)
{
    return real_of(v)->xCurrentTimeInt64(real_of(v), ms);
}

static void vfs_register(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find("unix-excl");

    assert(real && real->iVersion >= 2); /* part of every SQLite for Unix */
    vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct io_file) + real->szOsFile,
        .mxPathname = real->mxPathname,
        .zName = "coracle",
        .pAppData = real,
        .xOpen = io_open,
        .xDelete = io_delete,
        .xAccess = io_access,
        .xFullPathname = io_full_path,
        .xRandomness = io_random,
        .xSleep = io_sleep,
        .xGetLastError = io_last_error,
        .xCurrentTimeInt64 = io_time,
    };
    sqlite3_vfs_register(&vfs, 0); /* fails only for a vfs that is none */
}

const char *db_io_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, vfs_register);
    return vfs.zName;
}

uint64_t db_io_written(sqlite3_file *f)
{
    return f && f->pMethods == &methods ? of(f)->written : 0;
}

int db_io_errno(void)
{
    int sys = failed_errno;

    failed_errno = 0;
    return sys;
}
