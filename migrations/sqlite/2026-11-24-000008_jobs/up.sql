-- What customers can do with jobs: stages and arrays made as they are needed, priorities, retries,
-- pause; and what operators can: bans.

-- Order among one customer's own jobs, 9 first.
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 9);
-- How often its program may fail on a task before the task has failed.
ALTER TABLE job ADD COLUMN program_retries INTEGER NOT NULL DEFAULT 1 CHECK (program_retries BETWEEN 0 AND 5);
-- So many tasks failed by the program, and none completed: it stops. 0: never.
ALTER TABLE job ADD COLUMN early_stop INTEGER NOT NULL DEFAULT 10 CHECK (early_stop >= 0);
-- Of the failed tasks, those that failed by the program.
ALTER TABLE job ADD COLUMN program_failed INTEGER NOT NULL DEFAULT 0;
-- Its tasks are told by rows of job_stage.
ALTER TABLE job ADD COLUMN staged INTEGER NOT NULL DEFAULT 0;
-- Set while it is paused: whether running tasks finish or leave.
ALTER TABLE job ADD COLUMN pause TEXT CHECK (pause IN ('finish', 'vacate'));
-- Its customer or one of its programs is banned.
ALTER TABLE job ADD COLUMN banned INTEGER NOT NULL DEFAULT 0;
-- Why it failed.
ALTER TABLE job ADD COLUMN reason TEXT;

-- Its number among the job's completed tasks in order of completion, from 1.
ALTER TABLE task ADD COLUMN done INTEGER;
CREATE UNIQUE INDEX task_done ON task (job_id, done) WHERE done IS NOT NULL;
CREATE INDEX attempt_task ON attempt (task_id, id);

-- The stages of a job, and how far their tasks are made: rows of task come as they are needed.
CREATE TABLE job_stage (
    job_id         BLOB NOT NULL,
    number         INTEGER NOT NULL,
    name           TEXT NOT NULL,
    runtime        TEXT NOT NULL CHECK (runtime IN ('wasm', 'onnx')),
    program        TEXT NOT NULL,
    -- Where inputs come from: a list that was given, a template, rows of a blob, outputs of a stage.
    source         TEXT NOT NULL CHECK (source IN ('list', 'template', 'rows', 'outputs')),
    template       TEXT,
    -- Digest of a blob of JSON lines.
    rows_digest    TEXT,
    from_stage     INTEGER,
    gather         TEXT CHECK (gather IN ('archive', 'manifest')),
    per_task       INTEGER CHECK (per_task > 0),
    allow_failed   INTEGER NOT NULL,
    -- Number of its first task in the job, and how many it has.
    first          INTEGER NOT NULL,
    tasks          INTEGER NOT NULL CHECK (tasks > 0),
    -- Tasks made, and bytes of the rows read for them.
    made           INTEGER NOT NULL,
    made_bytes     INTEGER NOT NULL,
    completed      INTEGER NOT NULL,
    failed         INTEGER NOT NULL,
    program_failed INTEGER NOT NULL,
    PRIMARY KEY (job_id, number),
    CHECK (made <= tasks),
    CHECK (completed + failed <= made)
) STRICT;

-- Inputs that were made here, too small and too many for files.
CREATE TABLE small_blob (
    digest     TEXT PRIMARY KEY,
    content    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Programs (by digest) and customers (by id) that no car works for: who, when, why, until when.
CREATE TABLE ban (
    kind      TEXT NOT NULL CHECK (kind IN ('program', 'customer')),
    subject   TEXT NOT NULL,
    banned_at INTEGER NOT NULL,
    -- The nil id: from the command line.
    banned_by BLOB NOT NULL,
    reason    TEXT NOT NULL,
    -- None: until it is lifted.
    until     INTEGER,
    lifted_at INTEGER,
    -- None: its time was over.
    lifted_by BLOB,
    PRIMARY KEY (kind, subject, banned_at)
) STRICT;
CREATE UNIQUE INDEX ban_live ON ban (kind, subject) WHERE lifted_at IS NULL;

-- What a sandboxed worker found of a program, remembered.
CREATE TABLE program_check (
    digest     TEXT NOT NULL,
    runtime    TEXT NOT NULL,
    admitted   INTEGER NOT NULL,
    message    TEXT NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (digest, runtime)
) STRICT;
