CREATE TABLE public.benchmark (
    id bigint NOT NULL,
    name text NOT NULL,
    modules json NOT NULL,
    paths json NOT NULL,
    retry json DEFAULT '{}'::json NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.benchmark_experiment (
    benchmark_id bigint NOT NULL,
    experiment_id bigint NOT NULL,
    "position" integer NOT NULL,
    n_iterations integer NOT NULL,
    resampling_id bigint NOT NULL,
    task text NOT NULL,
    learner text NOT NULL,
    resampling text NOT NULL,
    params text DEFAULT '{}'::text NOT NULL,
    CONSTRAINT ck_benchmark_experiment_some_iterations CHECK ((n_iterations > 0))
);
CREATE TABLE public.benchmark_measure (
    benchmark_id bigint NOT NULL,
    measure_id bigint NOT NULL,
    "position" integer NOT NULL,
    name text NOT NULL
);
CREATE TABLE public.job (
    id bigint NOT NULL,
    experiment_id bigint NOT NULL,
    iteration integer NOT NULL,
    state text DEFAULT 'defined'::text NOT NULL,
    submission_id bigint,
    resource_id bigint,
    priority smallint DEFAULT '0'::smallint NOT NULL,
    generation integer DEFAULT 0 NOT NULL,
    attempts smallint DEFAULT '0'::smallint NOT NULL,
    charged smallint DEFAULT '0'::smallint NOT NULL,
    hiccups smallint DEFAULT '0'::smallint NOT NULL,
    lost_alone smallint DEFAULT '0'::smallint NOT NULL,
    suspect smallint DEFAULT '0'::smallint NOT NULL,
    not_before double precision,
    CONSTRAINT ck_job_attempts_counts CHECK ((attempts >= 0)),
    CONSTRAINT ck_job_charged_counts CHECK ((charged >= 0)),
    CONSTRAINT ck_job_hiccups_counts CHECK ((hiccups >= 0)),
    CONSTRAINT ck_job_iteration_counts CHECK ((iteration >= 0)),
    CONSTRAINT ck_job_known_state CHECK ((state = ANY (ARRAY['defined'::text, 'queued'::text, 'running'::text, 'done'::text, 'error'::text, 'cancelled'::text]))),
    CONSTRAINT ck_job_lost_alone_counts CHECK ((lost_alone >= 0)),
    CONSTRAINT ck_job_submitted_has_resource CHECK (((state = ANY (ARRAY['defined'::text, 'cancelled'::text])) OR (resource_id IS NOT NULL))),
    CONSTRAINT ck_job_suspect_is_flag CHECK ((suspect = ANY (ARRAY[0, 1])))
)
WITH (fillfactor='70');
CREATE TABLE public.result (
    job_id bigint NOT NULL,
    attempt_id bigint NOT NULL,
    completeness text NOT NULL,
    n integer NOT NULL,
    n_missing integer DEFAULT 0 NOT NULL,
    n_imputed integer DEFAULT 0 NOT NULL,
    model text,
    CONSTRAINT ck_result_known_word CHECK ((completeness = ANY (ARRAY['full'::text, 'partial'::text, 'imputed'::text, 'none'::text])))
);
CREATE TABLE public.score (
    job_id bigint NOT NULL,
    measure_id bigint NOT NULL,
    kind text NOT NULL,
    value double precision,
    CONSTRAINT ck_score_finite_has_value CHECK (((kind = 'finite'::text) = (value IS NOT NULL))),
    CONSTRAINT ck_score_known_kind CHECK ((kind = ANY (ARRAY['finite'::text, 'nan'::text, 'pos_inf'::text, 'neg_inf'::text])))
);
CREATE VIEW public.scores AS
 SELECT j.id AS job_id,
    b.name AS benchmark,
    j.experiment_id,
    m.task,
    m.learner,
    m.resampling,
    m.params,
    j.iteration,
    q.name AS measure,
        CASE
            WHEN (s.kind IS NULL) THEN 'missing'::text
            WHEN (s.kind = ANY (ARRAY['pos_inf'::text, 'neg_inf'::text])) THEN 'inf'::text
            ELSE s.kind
        END AS kind,
    s.value,
    COALESCE(r.n_imputed, 0) AS n_imputed
   FROM (((((public.benchmark b
     JOIN public.benchmark_experiment m ON ((m.benchmark_id = b.id)))
     JOIN public.job j ON (((j.experiment_id = m.experiment_id) AND (j.iteration < m.n_iterations))))
     JOIN public.benchmark_measure q ON ((q.benchmark_id = b.id)))
     LEFT JOIN public.result r ON ((r.job_id = j.id)))
     LEFT JOIN public.score s ON (((s.job_id = j.id) AND (s.measure_id = q.measure_id))))
  WHERE (j.state <> 'defined'::text);
CREATE VIEW public.aggregates AS
 SELECT d.benchmark,
    d.experiment_id,
    d.task,
    d.learner,
    d.resampling,
    d.params,
    d.measure,
        CASE
            WHEN (count(d.value) = count(*)) THEN avg(d.value)
            ELSE NULL::double precision
        END AS mean,
        CASE
            WHEN ((count(d.value) = count(*)) AND (count(*) > 1)) THEN sqrt((sum(((d.value - d.centre) * (d.value - d.centre))) / ((count(*) - 1))::double precision))
            ELSE NULL::double precision
        END AS sd,
    count(*) AS n,
    sum(
        CASE
            WHEN (d.kind = 'missing'::text) THEN 1
            ELSE 0
        END) AS n_missing,
    sum(
        CASE
            WHEN (d.n_imputed > 0) THEN 1
            ELSE 0
        END) AS n_imputed,
        CASE
            WHEN (sum(
            CASE
                WHEN (d.kind = ANY (ARRAY['nan'::text, 'inf'::text])) THEN 1
                ELSE 0
            END) = 0) THEN avg(d.value)
            ELSE NULL::double precision
        END AS mean_finished
   FROM ( SELECT s.job_id,
            s.benchmark,
            s.experiment_id,
            s.task,
            s.learner,
            s.resampling,
            s.params,
            s.iteration,
            s.measure,
            s.kind,
            s.value,
            s.n_imputed,
            avg(s.value) OVER (PARTITION BY s.benchmark, s.experiment_id, s.measure) AS centre
           FROM public.scores s) d
  GROUP BY d.benchmark, d.experiment_id, d.task, d.learner, d.resampling, d.params, d.measure;
CREATE TABLE public.attempt (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    worker_id bigint NOT NULL,
    policy_id bigint NOT NULL,
    source_id bigint,
    generation integer NOT NULL,
    alone smallint DEFAULT '0'::smallint NOT NULL,
    recalled smallint DEFAULT '0'::smallint NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    outcome text,
    signal smallint,
    error_type text,
    message text,
    traceback text,
    fingerprint text,
    fit_s double precision,
    predict_s double precision,
    wall_s double precision,
    cpu_s double precision,
    peak_mb double precision,
    threads smallint,
    dirty text,
    CONSTRAINT ck_attempt_alone_is_flag CHECK ((alone = ANY (ARRAY[0, 1]))),
    CONSTRAINT ck_attempt_ended_with_outcome CHECK (((ended_at IS NULL) = (outcome IS NULL))),
    CONSTRAINT ck_attempt_known_outcome CHECK ((outcome = ANY (ARRAY['done'::text, 'learner_error'::text, 'config_error'::text, 'timeout'::text, 'out_of_memory'::text, 'crashed'::text, 'lost'::text, 'infrastructure'::text, 'preempted'::text, 'released'::text, 'superseded'::text, 'cancelled'::text]))),
    CONSTRAINT ck_attempt_message_is_short CHECK ((length(message) <= 2000)),
    CONSTRAINT ck_attempt_recalled_is_flag CHECK ((recalled = ANY (ARRAY[0, 1]))),
    CONSTRAINT ck_attempt_traceback_is_short CHECK ((length(traceback) <= 20000))
);
CREATE TABLE public.experiment (
    id bigint NOT NULL,
    digest text NOT NULL,
    cell_digest text NOT NULL,
    seed bigint NOT NULL,
    task_id bigint NOT NULL,
    model_id bigint NOT NULL,
    policy_id bigint NOT NULL,
    resampling_id bigint NOT NULL,
    source_id bigint,
    n_iterations integer NOT NULL,
    n_jobs integer DEFAULT 0 NOT NULL,
    task text NOT NULL,
    learner text NOT NULL,
    resampling text NOT NULL,
    params text DEFAULT '{}'::text NOT NULL,
    CONSTRAINT ck_experiment_n_jobs_counts CHECK ((n_jobs >= 0)),
    CONSTRAINT ck_experiment_some_iterations CHECK ((n_iterations > 0))
);
CREATE TABLE public.worker (
    id bigint NOT NULL,
    submission_id bigint NOT NULL,
    host text NOT NULL,
    boot_id text NOT NULL,
    pid integer NOT NULL,
    pid_start bigint NOT NULL,
    pid_ns text NOT NULL,
    scheduler_id text,
    incarnation integer DEFAULT 0 NOT NULL,
    slots integer NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    wanted text DEFAULT 'go_on'::text NOT NULL,
    reason text,
    beat_s double precision NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT now() NOT NULL,
    stopped_at timestamp with time zone,
    CONSTRAINT ck_worker_ended_is_stopped CHECK (((stopped_at IS NULL) = (state = ANY (ARRAY['running'::text, 'draining'::text])))),
    CONSTRAINT ck_worker_known_order CHECK ((wanted = ANY (ARRAY['go_on'::text, 'drain'::text, 'stop'::text]))),
    CONSTRAINT ck_worker_known_state CHECK ((state = ANY (ARRAY['running'::text, 'draining'::text, 'stopped'::text, 'lost'::text]))),
    CONSTRAINT ck_worker_some_slots CHECK ((slots > 0))
);
CREATE VIEW public.all_jobs AS
 SELECT j.id AS job_id,
    b.name AS benchmark,
    j.experiment_id,
    m.task,
    m.learner,
    m.resampling,
    m.params,
    j.iteration,
    j.state,
    a.outcome,
    r.completeness AS prediction,
    j.attempts,
    w.host,
    a.fit_s,
    a.predict_s,
    a.wall_s,
    a.peak_mb,
    a.started_at,
    a.ended_at
   FROM (((((public.benchmark b
     JOIN public.benchmark_experiment m ON ((m.benchmark_id = b.id)))
     JOIN public.job j ON (((j.experiment_id = m.experiment_id) AND (j.iteration < m.n_iterations))))
     LEFT JOIN public.result r ON ((r.job_id = j.id)))
     LEFT JOIN public.attempt a ON ((a.id = COALESCE(r.attempt_id, ( SELECT max(l.id) AS max
           FROM public.attempt l
          WHERE (l.job_id = j.id))))))
     LEFT JOIN public.worker w ON ((w.id = a.worker_id)))
UNION ALL
 SELECT j.id AS job_id,
    NULL::text AS benchmark,
    j.experiment_id,
    e.task,
    e.learner,
    e.resampling,
    e.params,
    j.iteration,
    j.state,
    a.outcome,
    r.completeness AS prediction,
    j.attempts,
    w.host,
    a.fit_s,
    a.predict_s,
    a.wall_s,
    a.peak_mb,
    a.started_at,
    a.ended_at
   FROM ((((public.experiment e
     JOIN public.job j ON ((j.experiment_id = e.id)))
     LEFT JOIN public.result r ON ((r.job_id = j.id)))
     LEFT JOIN public.attempt a ON ((a.id = COALESCE(r.attempt_id, ( SELECT max(l.id) AS max
           FROM public.attempt l
          WHERE (l.job_id = j.id))))))
     LEFT JOIN public.worker w ON ((w.id = a.worker_id)))
  WHERE (NOT (EXISTS ( SELECT 1
           FROM public.benchmark_experiment m
          WHERE ((m.experiment_id = j.experiment_id) AND (j.iteration < m.n_iterations)))));
CREATE SEQUENCE public.attempt_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.attempt_id_seq OWNED BY public.attempt.id;
CREATE TABLE public.batchml_version (
    version_num character varying(32) NOT NULL
);
CREATE SEQUENCE public.benchmark_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.benchmark_id_seq OWNED BY public.benchmark.id;
CREATE TABLE public.condition (
    attempt_id bigint NOT NULL,
    number integer NOT NULL,
    stage text NOT NULL,
    level text NOT NULL,
    kind text DEFAULT ''::text NOT NULL,
    message text NOT NULL,
    traceback text,
    fingerprint text NOT NULL,
    CONSTRAINT ck_condition_known_level CHECK ((level = ANY (ARRAY['output'::text, 'warning'::text, 'error'::text]))),
    CONSTRAINT ck_condition_known_stage CHECK ((stage = ANY (ARRAY['setup'::text, 'train'::text, 'predict'::text, 'score'::text, 'job'::text]))),
    CONSTRAINT ck_condition_message_is_short CHECK ((length(message) <= 2000)),
    CONSTRAINT ck_condition_traceback_is_short CHECK ((length(traceback) <= 20000))
);
CREATE VIEW public.conditions AS
 SELECT j.id AS job_id,
    a.id AS attempt_id,
    m.task,
    m.learner,
    m.resampling,
    j.iteration,
    c.stage,
    c.level,
    c.message
   FROM (((public.condition c
     JOIN public.attempt a ON ((a.id = c.attempt_id)))
     JOIN public.job j ON ((j.id = a.job_id)))
     JOIN public.benchmark_experiment m ON (((m.experiment_id = j.experiment_id) AND (j.iteration < m.n_iterations))))
  WHERE (m.benchmark_id = ( SELECT min(o.benchmark_id) AS min
           FROM public.benchmark_experiment o
          WHERE ((o.experiment_id = j.experiment_id) AND (j.iteration < o.n_iterations))));
CREATE VIEW public.coverage AS
 SELECT b.name AS benchmark,
    m.task,
    m.learner,
    m.resampling,
    count(*) AS defined,
    sum(
        CASE
            WHEN (j.state = 'done'::text) THEN 1
            ELSE 0
        END) AS done,
    sum(
        CASE
            WHEN (j.state = 'error'::text) THEN 1
            ELSE 0
        END) AS error,
    sum(
        CASE
            WHEN (j.state = 'cancelled'::text) THEN 1
            ELSE 0
        END) AS cancelled,
    sum(
        CASE
            WHEN (j.state = 'done'::text) THEN 0
            ELSE 1
        END) AS missing
   FROM ((public.benchmark b
     JOIN public.benchmark_experiment m ON ((m.benchmark_id = b.id)))
     JOIN public.job j ON (((j.experiment_id = m.experiment_id) AND (j.iteration < m.n_iterations))))
  GROUP BY b.name, m.task, m.learner, m.resampling;
CREATE VIEW public.errors AS
 SELECT j.id AS job_id,
    a.id AS attempt_id,
    b.name AS benchmark,
    m.task,
    m.learner,
    m.resampling,
    j.iteration,
    a.outcome,
    f.stage,
    f.level,
    f.message,
    f.fingerprint
   FROM ((((( SELECT c.attempt_id,
            c.stage,
            c.level,
            c.message,
            c.fingerprint
           FROM public.condition c
          WHERE (c.level = 'error'::text)
        UNION ALL
         SELECT x.id,
            'job'::text,
            'error'::text,
            COALESCE(x.message, x.outcome) AS "coalesce",
            x.fingerprint
           FROM public.attempt x
          WHERE ((x.fingerprint IS NOT NULL) AND (NOT (EXISTS ( SELECT 1
                   FROM public.condition c
                  WHERE ((c.attempt_id = x.id) AND (c.level = 'error'::text) AND (c.fingerprint = x.fingerprint))))))) f
     JOIN public.attempt a ON ((a.id = f.attempt_id)))
     JOIN public.job j ON ((j.id = a.job_id)))
     JOIN public.benchmark_experiment m ON (((m.experiment_id = j.experiment_id) AND (j.iteration < m.n_iterations))))
     JOIN public.benchmark b ON ((b.id = m.benchmark_id)));
CREATE SEQUENCE public.experiment_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.experiment_id_seq OWNED BY public.experiment.id;
CREATE SEQUENCE public.job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.job_id_seq OWNED BY public.job.id;
CREATE TABLE public.job_tag (
    job_id bigint NOT NULL,
    tag text NOT NULL,
    CONSTRAINT ck_job_tag_tag_is_short CHECK (((length(tag) >= 1) AND (length(tag) <= 200)))
);
CREATE VIEW public.jobs AS
 SELECT j.id AS job_id,
    b.name AS benchmark,
    j.experiment_id,
    m.task,
    m.learner,
    m.resampling,
    m.params,
    j.iteration,
    j.state,
    a.outcome,
    r.completeness AS prediction,
    j.attempts,
    w.host,
    a.fit_s,
    a.predict_s,
    a.wall_s,
    a.peak_mb,
    a.started_at,
    a.ended_at
   FROM (((((public.benchmark b
     JOIN public.benchmark_experiment m ON ((m.benchmark_id = b.id)))
     JOIN public.job j ON (((j.experiment_id = m.experiment_id) AND (j.iteration < m.n_iterations))))
     LEFT JOIN public.result r ON ((r.job_id = j.id)))
     LEFT JOIN public.attempt a ON ((a.id = COALESCE(r.attempt_id, ( SELECT max(l.id) AS max
           FROM public.attempt l
          WHERE (l.job_id = j.id))))))
     LEFT JOIN public.worker w ON ((w.id = a.worker_id)));
CREATE TABLE public.log (
    attempt_id bigint NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.prediction (
    job_id bigint NOT NULL,
    predict_set text NOT NULL,
    data bytea NOT NULL
);
CREATE TABLE public.registry (
    id integer NOT NULL,
    uuid text NOT NULL,
    root_seed bigint NOT NULL,
    artifacts text,
    revision integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_registry_one_row CHECK ((id = 1))
);
CREATE TABLE public.resource (
    id bigint NOT NULL,
    digest text NOT NULL,
    body json NOT NULL
);
CREATE SEQUENCE public.resource_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.resource_id_seq OWNED BY public.resource.id;
CREATE VIEW public.runtimes AS
 WITH one AS (
         SELECT DISTINCT m.task,
            m.learner,
            j.id AS job_id,
            a.fit_s,
            a.predict_s,
            a.peak_mb
           FROM (((public.benchmark_experiment m
             JOIN public.job j ON (((j.experiment_id = m.experiment_id) AND (j.iteration < m.n_iterations))))
             JOIN public.result r ON ((r.job_id = j.id)))
             JOIN public.attempt a ON ((a.id = r.attempt_id)))
        ), ranked AS (
         SELECT one.task,
            one.learner,
            one.fit_s,
            one.predict_s,
            one.peak_mb,
            row_number() OVER (PARTITION BY one.task, one.learner ORDER BY one.fit_s) AS fit_rank,
            row_number() OVER (PARTITION BY one.task, one.learner ORDER BY one.predict_s) AS predict_rank,
            count(*) OVER (PARTITION BY one.task, one.learner) AS n
           FROM one
        )
 SELECT ranked.task,
    ranked.learner,
    max(ranked.n) AS n_jobs,
    avg(
        CASE
            WHEN (((2 * ranked.fit_rank) >= ranked.n) AND ((2 * ranked.fit_rank) <= (ranked.n + 2))) THEN ranked.fit_s
            ELSE NULL::double precision
        END) AS fit_s_median,
    avg(
        CASE
            WHEN (((2 * ranked.predict_rank) >= ranked.n) AND ((2 * ranked.predict_rank) <= (ranked.n + 2))) THEN ranked.predict_s
            ELSE NULL::double precision
        END) AS predict_s_median,
    max(ranked.peak_mb) AS peak_mb_max
   FROM ranked
  GROUP BY ranked.task, ranked.learner;
CREATE TABLE public.spec (
    id bigint NOT NULL,
    kind text NOT NULL,
    digest text NOT NULL,
    body json NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_spec_known_kind CHECK ((kind = ANY (ARRAY['task'::text, 'model'::text, 'policy'::text, 'resampling'::text, 'measure'::text, 'source'::text])))
);
CREATE SEQUENCE public.spec_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.spec_id_seq OWNED BY public.spec.id;
CREATE TABLE public.submission (
    id bigint NOT NULL,
    resource_id bigint NOT NULL,
    executor text NOT NULL,
    settings json NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE SEQUENCE public.submission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.submission_id_seq OWNED BY public.submission.id;
CREATE SEQUENCE public.worker_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.worker_id_seq OWNED BY public.worker.id;
CREATE VIEW public.workers AS
 SELECT w.id AS worker_id,
    w.submission_id,
    s.executor,
    w.host,
    w.pid,
    w.state,
    w.heartbeat_at
   FROM (public.worker w
     JOIN public.submission s ON ((s.id = w.submission_id)));
ALTER TABLE ONLY public.attempt ALTER COLUMN id SET DEFAULT nextval('public.attempt_id_seq'::regclass);
ALTER TABLE ONLY public.benchmark ALTER COLUMN id SET DEFAULT nextval('public.benchmark_id_seq'::regclass);
ALTER TABLE ONLY public.experiment ALTER COLUMN id SET DEFAULT nextval('public.experiment_id_seq'::regclass);
ALTER TABLE ONLY public.job ALTER COLUMN id SET DEFAULT nextval('public.job_id_seq'::regclass);
ALTER TABLE ONLY public.resource ALTER COLUMN id SET DEFAULT nextval('public.resource_id_seq'::regclass);
ALTER TABLE ONLY public.spec ALTER COLUMN id SET DEFAULT nextval('public.spec_id_seq'::regclass);
ALTER TABLE ONLY public.submission ALTER COLUMN id SET DEFAULT nextval('public.submission_id_seq'::regclass);
ALTER TABLE ONLY public.worker ALTER COLUMN id SET DEFAULT nextval('public.worker_id_seq'::regclass);
INSERT INTO public.attempt VALUES (1, 1, 1, 5, NULL, 0, 0, 0, '2026-11-22 02:54:35.803732+00', '2026-11-22 02:54:36.75851+00', 'done', NULL, NULL, NULL, NULL, NULL, 0.010875511001358973, 0.0006752779991074931, 0.05839508899953216, 0.047755936, 149.1640625, 1, NULL);
INSERT INTO public.attempt VALUES (3, 3, 1, 5, NULL, 0, 0, 0, '2026-11-22 02:54:36.75851+00', '2026-11-22 02:54:36.787873+00', 'done', NULL, NULL, NULL, NULL, NULL, 0.0016554979993088637, 0.0003466609996394254, 0.003185507999660331, 0.0031583910000000034, 149.1640625, 1, NULL);
INSERT INTO public.attempt VALUES (4, 4, 1, 6, NULL, 0, 0, 0, '2026-11-22 02:54:36.75851+00', '2026-11-22 02:54:36.799135+00', 'done', NULL, NULL, NULL, NULL, NULL, 0.003513682999255252, 0.00026709300072980113, 0.014863612999761244, 0.007030752000000001, 149.1640625, 1, NULL);
INSERT INTO public.attempt VALUES (5, 5, 1, 6, NULL, 0, 0, 0, '2026-11-22 02:54:36.787873+00', '2026-11-22 02:54:36.808544+00', 'done', NULL, NULL, NULL, NULL, NULL, 0.0010883850009122398, 0, 0.005038616000092588, 0.002948942000000003, 149.1640625, 1, NULL);
INSERT INTO public.attempt VALUES (6, 6, 1, 6, NULL, 0, 0, 0, '2026-11-22 02:54:36.799135+00', '2026-11-22 02:54:36.823655+00', 'done', NULL, NULL, NULL, NULL, NULL, 0.0006089680009608855, 0, 0.0016727080001146533, 0.0016780889999999937, 149.1640625, 1, NULL);
INSERT INTO public.attempt VALUES (7, 7, 1, 5, NULL, 0, 0, 0, '2026-11-22 02:54:36.808544+00', '2026-11-22 02:54:36.832252+00', 'learner_error', NULL, 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e', 0.005469951000122819, NULL, 0.006601918999876943, 0.0019320609999999988, 149.1640625, 1, NULL);
INSERT INTO public.attempt VALUES (8, 8, 1, 5, NULL, 0, 0, 0, '2026-11-22 02:54:36.823655+00', '2026-11-22 02:54:36.840625+00', 'learner_error', NULL, 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e', 0.0005983350001770305, NULL, 0.0011481920009828173, 0.0011528749999999977, 149.1640625, 1, NULL);
INSERT INTO public.attempt VALUES (2, 2, 1, 5, NULL, 0, 0, 0, '2026-11-22 02:54:35.803732+00', '2026-11-22 02:54:36.840625+00', 'done', NULL, NULL, NULL, NULL, NULL, 0.023494150998885743, 0.0007004649996815715, 0.10484779700163926, 0.04928938, 149.07421875, 1, NULL);
INSERT INTO public.attempt VALUES (9, 9, 1, 5, NULL, 0, 0, 0, '2026-11-22 02:54:36.832252+00', '2026-11-22 02:54:36.940806+00', 'learner_error', NULL, 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e', 0.0005913479999435367, NULL, 0.0011391190000722418, 0.001143376999999987, 149.1640625, 1, NULL);
INSERT INTO public.attempt VALUES (10, 7, 3, 5, NULL, 0, 0, 0, '2026-11-22 02:54:38.017371+00', '2026-11-22 02:54:38.975419+00', 'learner_error', NULL, 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e', 0.0022477889997389866, NULL, 0.03714098400087096, 0.036816814, 140.05859375, 1, NULL);
INSERT INTO public.attempt VALUES (11, 11, 4, 5, NULL, 0, 0, 0, '2026-11-22 02:54:39.166692+00', '2026-11-22 02:54:39.185376+00', 'lost', NULL, NULL, 'its process is gone', NULL, '7f4a77655565', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.batchml_version VALUES ('0001');
INSERT INTO public.benchmark VALUES (1, 'small', '[]', '[]', '{}', '2026-11-22 02:54:34.99054+00', '2026-11-22 02:54:34.99054+00');
INSERT INTO public.benchmark VALUES (2, 'unfinished', '[]', '[]', '{}', '2026-11-22 02:54:39.12563+00', '2026-11-22 02:54:39.12563+00');
INSERT INTO public.benchmark_experiment VALUES (1, 1, 0, 3, 7, 'iris', 'classif.tree', 'cv', '{}');
INSERT INTO public.benchmark_experiment VALUES (1, 2, 1, 3, 7, 'iris', 'guarded', 'cv', '{}');
INSERT INTO public.benchmark_experiment VALUES (1, 3, 2, 3, 7, 'iris', 'bare', 'cv', '{}');
INSERT INTO public.benchmark_experiment VALUES (2, 4, 0, 5, 12, 'wine', 'classif.featureless', 'cv', '{}');
INSERT INTO public.benchmark_measure VALUES (1, 8, 0, 'classif.acc');
INSERT INTO public.benchmark_measure VALUES (1, 9, 1, 'classif.ce');
INSERT INTO public.benchmark_measure VALUES (2, 8, 0, 'classif.acc');
INSERT INTO public.condition VALUES (5, 0, 'train', 'error', 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e');
INSERT INTO public.condition VALUES (5, 1, 'predict', 'output', '', 'Using fallback learner for predictions', NULL, '41f05d9badd7');
INSERT INTO public.condition VALUES (6, 0, 'train', 'error', 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e');
INSERT INTO public.condition VALUES (6, 1, 'predict', 'output', '', 'Using fallback learner for predictions', NULL, '41f05d9badd7');
INSERT INTO public.condition VALUES (7, 0, 'train', 'error', 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e');
INSERT INTO public.condition VALUES (8, 0, 'train', 'error', 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e');
INSERT INTO public.condition VALUES (9, 0, 'train', 'error', 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e');
INSERT INTO public.condition VALUES (10, 0, 'train', 'error', 'LearnerError', 'Error from classif.debug->train()', 'Traceback (most recent call last):
  File "/srv/batchml/batchml/execution/execute.py", line 56, in execute
    value = _run(call)
            ^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 74, in _run
    return _fitted(learner, call)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/execution/execute.py", line 86, in _fitted
    return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/batchml/batchml/learners/debug.py", line 157, in _fit
    self._happen("train", seed)
  File "/srv/batchml/batchml/learners/debug.py", line 116, in _happen
    raise LearnerError(f"Error from {where}")
batchml.errors.LearnerError: Error from classif.debug->train()
', '28a90a7ebf3e');
INSERT INTO public.experiment VALUES (1, '10d1d90f785a0075b11e9c6e8914e2b0ef0ae1381fca57e20469ad66a5a48976', '57c0027b3f78084b0dc441430158a7ac33414f1831769a7c8b6538e5fad0dd69', 4, 1, 2, 5, 7, NULL, 3, 3, 'iris', 'classif.tree', 'cv', '{}');
INSERT INTO public.experiment VALUES (2, 'd5ab611dc2dba858116e9f6abe9aa874d0396867bc5254e0381aed51b51794ce', 'a316d82dcf8a5454e696913c5a7d8f423293a66fbd899b34e8363b37aa16a947', 4, 1, 3, 6, 7, NULL, 3, 3, 'iris', 'guarded', 'cv', '{}');
INSERT INTO public.experiment VALUES (3, 'd9026ff11d4aa170e193507f746832ae0d05cd02f7c1033aae44c0a02976b459', 'eb8e08693ffc099c12dad5ab313a665f33cf8896815bbf0a112b574cabf86027', 4, 1, 4, 5, 7, NULL, 3, 3, 'iris', 'bare', 'cv', '{}');
INSERT INTO public.experiment VALUES (4, 'f15d340060170128dac4f32cc88ad95485f01893836a563260be5d7d8dc00bef', '02c89384b066a20f67fa76c8a62bd5448cde375471ec3312c45a3cfda8e4e2fd', 4, 10, 11, 5, 12, NULL, 5, 5, 'wine', 'classif.featureless', 'cv', '{}');
INSERT INTO public.job VALUES (1, 1, 0, 'done', 1, 1, 0, 0, 1, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (3, 1, 2, 'done', 1, 1, 0, 0, 1, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (4, 2, 0, 'done', 1, 1, 0, 0, 1, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (5, 2, 1, 'done', 1, 1, 0, 0, 1, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (6, 2, 2, 'done', 1, 1, 0, 0, 1, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (2, 1, 1, 'done', 1, 1, 0, 0, 1, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (8, 3, 1, 'error', 1, 1, 0, 0, 1, 1, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (9, 3, 2, 'error', 1, 1, 0, 0, 1, 1, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (7, 3, 0, 'error', 3, 1, 0, 0, 2, 1, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (14, 4, 4, 'defined', NULL, NULL, 0, 0, 0, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (10, 4, 0, 'cancelled', NULL, NULL, 0, 1, 0, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (12, 4, 2, 'queued', 4, 1, 0, 0, 0, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (13, 4, 3, 'queued', 4, 1, 0, 0, 0, 0, 0, 0, 0, NULL);
INSERT INTO public.job VALUES (11, 4, 1, 'queued', 4, 1, 0, 0, 1, 0, 0, 0, 1, NULL);
INSERT INTO public.job_tag VALUES (7, 'to be looked at');
INSERT INTO public.job_tag VALUES (8, 'to be looked at');
INSERT INTO public.job_tag VALUES (9, 'to be looked at');
INSERT INTO public.prediction VALUES (1, 'test', '\xffffffffe00100001000000000000a000e000600050008000a000000000104001000000000000a000c000000040008000a000000a800000004000000010000000c00000008000c0004000800080000008000000004000000700000007b22666f726d6174223a20312c202274797065223a2022636c6173736966222c2022636c6173736573223a205b227365746f7361222c20227665727369636f6c6f72222c202276697267696e696361225d2c2022706f736974697665223a20302c202270726f62223a2066616c73657d000000000700000062617463686d6c0003000000d00000007000000004000000a8ffffff00000105140000004800000024000000040000000000000008000000726573706f6e7365000000000800140008000400080000001000000001000000000000000000000060ffffff0000000120000000a8ffffff100018000800060007000c00100014001000000000000105140000003c00000020000000040000000000000005000000747275746800000008000800000004000800000004000000b8ffffff00000001200000000400040004000000100014000800060007000c000000100010000000000001021000000020000000040000000000000006000000726f775f6964000008000c0008000700080000000000000140000000ffffffffa800000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008000a0000000400080000001000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffb000000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008001200080004000800000018000000010000000000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffe800000014000000000000000c0016000600050008000c000c0000000003040018000000200300000000000000000a0018000c00040008000a0000007c00000010000000320000000000000000000000060000000000000000000000000000000000000000000000000000009001000000000000900100000000000000000000000000009001000000000000c800000000000000580200000000000000000000000000005802000000000000c8000000000000000000000003000000320000000000000000000000000000003200000000000000000000000000000032000000000000000000000000000000000000000000000004000000000000000500000000000000070000000000000008000000000000000f0000000000000011000000000000001500000000000000170000000000000018000000000000001d00000000000000280000000000000030000000000000003300000000000000380000000000000039000000000000003b000000000000003e000000000000003f00000000000000410000000000000045000000000000004c000000000000005000000000000000550000000000000056000000000000005e000000000000005f000000000000006100000000000000660000000000000069000000000000006a000000000000006c000000000000007300000000000000740000000000000075000000000000007c000000000000007d000000000000007e0000000000000080000000000000008300000000000000840000000000000086000000000000008a000000000000008b000000000000008d000000000000008e000000000000008f0000000000000090000000000000009100000000000000930000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000002000000020000000100000002000000020000000200000002000000020000000200000001000000020000000200000002000000020000000100000002000000020000000200000002000000020000000200000002000000ffffffff00000000');
INSERT INTO public.prediction VALUES (3, 'test', '\xffffffffe00100001000000000000a000e000600050008000a000000000104001000000000000a000c000000040008000a000000a800000004000000010000000c00000008000c0004000800080000008000000004000000700000007b22666f726d6174223a20312c202274797065223a2022636c6173736966222c2022636c6173736573223a205b227365746f7361222c20227665727369636f6c6f72222c202276697267696e696361225d2c2022706f736974697665223a20302c202270726f62223a2066616c73657d000000000700000062617463686d6c0003000000d00000007000000004000000a8ffffff00000105140000004800000024000000040000000000000008000000726573706f6e7365000000000800140008000400080000001000000001000000000000000000000060ffffff0000000120000000a8ffffff100018000800060007000c00100014001000000000000105140000003c00000020000000040000000000000005000000747275746800000008000800000004000800000004000000b8ffffff00000001200000000400040004000000100014000800060007000c000000100010000000000001021000000020000000040000000000000006000000726f775f6964000008000c0008000700080000000000000140000000ffffffffa800000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008000a0000000400080000001000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffb000000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008001200080004000800000018000000010000000000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffe800000014000000000000000c0016000600050008000c000c0000000003040018000000200300000000000000000a0018000c00040008000a0000007c00000010000000320000000000000000000000060000000000000000000000000000000000000000000000000000009001000000000000900100000000000000000000000000009001000000000000c800000000000000580200000000000000000000000000005802000000000000c80000000000000000000000030000003200000000000000000000000000000032000000000000000000000000000000320000000000000000000000000000000100000000000000020000000000000003000000000000000a000000000000000b000000000000000d000000000000000e000000000000001200000000000000160000000000000019000000000000001a000000000000001b000000000000001c00000000000000200000000000000021000000000000002400000000000000260000000000000029000000000000002a000000000000002d000000000000002e000000000000002f00000000000000310000000000000035000000000000003c000000000000003d0000000000000042000000000000004300000000000000460000000000000049000000000000004b000000000000004f0000000000000051000000000000005300000000000000580000000000000059000000000000005c00000000000000620000000000000063000000000000006400000000000000650000000000000068000000000000006e000000000000007100000000000000790000000000000089000000000000008c0000000000000092000000000000009400000000000000950000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000010000000100000001000000010000000100000002000000010000000100000001000000010000000200000001000000010000000100000001000000010000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000ffffffff00000000');
INSERT INTO public.prediction VALUES (4, 'test', '\xffffffffe00100001000000000000a000e000600050008000a000000000104001000000000000a000c000000040008000a000000a800000004000000010000000c00000008000c0004000800080000008000000004000000700000007b22666f726d6174223a20312c202274797065223a2022636c6173736966222c2022636c6173736573223a205b227365746f7361222c20227665727369636f6c6f72222c202276697267696e696361225d2c2022706f736974697665223a20302c202270726f62223a2066616c73657d000000000700000062617463686d6c0003000000d00000007000000004000000a8ffffff00000105140000004800000024000000040000000000000008000000726573706f6e7365000000000800140008000400080000001000000001000000000000000000000060ffffff0000000120000000a8ffffff100018000800060007000c00100014001000000000000105140000003c00000020000000040000000000000005000000747275746800000008000800000004000800000004000000b8ffffff00000001200000000400040004000000100014000800060007000c000000100010000000000001021000000020000000040000000000000006000000726f775f6964000008000c0008000700080000000000000140000000ffffffffa800000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008000a0000000400080000001000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffb000000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008001200080004000800000018000000010000000000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffe800000014000000000000000c0016000600050008000c000c0000000003040018000000200300000000000000000a0018000c00040008000a0000007c00000010000000320000000000000000000000060000000000000000000000000000000000000000000000000000009001000000000000900100000000000000000000000000009001000000000000c800000000000000580200000000000000000000000000005802000000000000c8000000000000000000000003000000320000000000000000000000000000003200000000000000000000000000000032000000000000000000000000000000000000000000000004000000000000000500000000000000070000000000000008000000000000000f0000000000000011000000000000001500000000000000170000000000000018000000000000001d00000000000000280000000000000030000000000000003300000000000000380000000000000039000000000000003b000000000000003e000000000000003f00000000000000410000000000000045000000000000004c000000000000005000000000000000550000000000000056000000000000005e000000000000005f000000000000006100000000000000660000000000000069000000000000006a000000000000006c000000000000007300000000000000740000000000000075000000000000007c000000000000007d000000000000007e0000000000000080000000000000008300000000000000840000000000000086000000000000008a000000000000008b000000000000008d000000000000008e000000000000008f0000000000000090000000000000009100000000000000930000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000ffffffff00000000');
INSERT INTO public.prediction VALUES (5, 'test', '\xffffffff10020000140000000000000000000a000e000600050008000a000000000104001000000000000a000c000000040008000a000000a800000004000000010000000c00000008000c0004000800080000008000000004000000700000007b22666f726d6174223a20312c202274797065223a2022636c6173736966222c2022636c6173736573223a205b227365746f7361222c20227665727369636f6c6f72222c202276697267696e696361225d2c2022706f736974697665223a20302c202270726f62223a2066616c73657d000000000700000062617463686d6c0004000000fc0000009c000000300000000400000024ffffff000001061000000018000000040000000000000007000000696d70757465640050ffffffa8ffffff00000105140000004800000024000000040000000000000008000000726573706f6e7365000000000800140008000400080000001000000001000000000000000000000060ffffff0000000120000000a8ffffff100018000800060007000c00100014001000000000000105140000003c00000020000000040000000000000005000000747275746800000008000800000004000800000004000000b8ffffff00000001200000000400040004000000100014000800060007000c000000100010000000000001021000000020000000040000000000000006000000726f775f6964000008000c0008000700080000000000000140000000ffffffffa800000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008000a0000000400080000001000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffb000000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008001200080004000800000018000000010000000000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffff1801000014000000000000000c0016000600050008000c000c0000000003040018000000280300000000000000000a0018000c00040008000a0000009c00000010000000320000000000000000000000080000000000000000000000000000000000000000000000000000009001000000000000900100000000000000000000000000009001000000000000c800000000000000580200000000000000000000000000005802000000000000c8000000000000002003000000000000000000000000000020030000000000000700000000000000000000000400000032000000000000000000000000000000320000000000000000000000000000003200000000000000000000000000000032000000000000000000000000000000060000000000000009000000000000000c000000000000001000000000000000130000000000000014000000000000001e000000000000001f0000000000000022000000000000002300000000000000250000000000000027000000000000002b000000000000002c0000000000000032000000000000003400000000000000360000000000000037000000000000003a0000000000000040000000000000004400000000000000470000000000000048000000000000004a000000000000004d000000000000004e000000000000005200000000000000540000000000000057000000000000005a000000000000005b000000000000005d00000000000000600000000000000067000000000000006b000000000000006d000000000000006f00000000000000700000000000000072000000000000007600000000000000770000000000000078000000000000007a000000000000007b000000000000007f000000000000008100000000000000820000000000000085000000000000008700000000000000880000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000ffffffffffff0300ffffffff00000000');
INSERT INTO public.prediction VALUES (6, 'test', '\xffffffff10020000140000000000000000000a000e000600050008000a000000000104001000000000000a000c000000040008000a000000a800000004000000010000000c00000008000c0004000800080000008000000004000000700000007b22666f726d6174223a20312c202274797065223a2022636c6173736966222c2022636c6173736573223a205b227365746f7361222c20227665727369636f6c6f72222c202276697267696e696361225d2c2022706f736974697665223a20302c202270726f62223a2066616c73657d000000000700000062617463686d6c0004000000fc0000009c000000300000000400000024ffffff000001061000000018000000040000000000000007000000696d70757465640050ffffffa8ffffff00000105140000004800000024000000040000000000000008000000726573706f6e7365000000000800140008000400080000001000000001000000000000000000000060ffffff0000000120000000a8ffffff100018000800060007000c00100014001000000000000105140000003c00000020000000040000000000000005000000747275746800000008000800000004000800000004000000b8ffffff00000001200000000400040004000000100014000800060007000c000000100010000000000001021000000020000000040000000000000006000000726f775f6964000008000c0008000700080000000000000140000000ffffffffa800000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008000a0000000400080000001000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffb000000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008001200080004000800000018000000010000000000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffff1801000014000000000000000c0016000600050008000c000c0000000003040018000000280300000000000000000a0018000c00040008000a0000009c00000010000000320000000000000000000000080000000000000000000000000000000000000000000000000000009001000000000000900100000000000000000000000000009001000000000000c800000000000000580200000000000000000000000000005802000000000000c80000000000000020030000000000000000000000000000200300000000000007000000000000000000000004000000320000000000000000000000000000003200000000000000000000000000000032000000000000000000000000000000320000000000000000000000000000000100000000000000020000000000000003000000000000000a000000000000000b000000000000000d000000000000000e000000000000001200000000000000160000000000000019000000000000001a000000000000001b000000000000001c00000000000000200000000000000021000000000000002400000000000000260000000000000029000000000000002a000000000000002d000000000000002e000000000000002f00000000000000310000000000000035000000000000003c000000000000003d0000000000000042000000000000004300000000000000460000000000000049000000000000004b000000000000004f0000000000000051000000000000005300000000000000580000000000000059000000000000005c00000000000000620000000000000063000000000000006400000000000000650000000000000068000000000000006e000000000000007100000000000000790000000000000089000000000000008c0000000000000092000000000000009400000000000000950000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000ffffffffffff0300ffffffff00000000');
INSERT INTO public.prediction VALUES (2, 'test', '\xffffffffe00100001000000000000a000e000600050008000a000000000104001000000000000a000c000000040008000a000000a800000004000000010000000c00000008000c0004000800080000008000000004000000700000007b22666f726d6174223a20312c202274797065223a2022636c6173736966222c2022636c6173736573223a205b227365746f7361222c20227665727369636f6c6f72222c202276697267696e696361225d2c2022706f736974697665223a20302c202270726f62223a2066616c73657d000000000700000062617463686d6c0003000000d00000007000000004000000a8ffffff00000105140000004800000024000000040000000000000008000000726573706f6e7365000000000800140008000400080000001000000001000000000000000000000060ffffff0000000120000000a8ffffff100018000800060007000c00100014001000000000000105140000003c00000020000000040000000000000005000000747275746800000008000800000004000800000004000000b8ffffff00000001200000000400040004000000100014000800060007000c000000100010000000000001021000000020000000040000000000000006000000726f775f6964000008000c0008000700080000000000000140000000ffffffffa800000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008000a0000000400080000001000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffb000000014000000000000000c0014000600050008000c000c0000000002040014000000300000000000000008001200080004000800000018000000010000000000000000000a0018000c00040008000a0000004c0000001000000003000000000000000000000003000000000000000000000000000000000000000000000000000000100000000000000010000000000000001900000000000000000000000100000003000000000000000000000000000000000000000600000010000000190000007365746f73617665727369636f6c6f7276697267696e69636100000000000000ffffffffe800000014000000000000000c0016000600050008000c000c0000000003040018000000200300000000000000000a0018000c00040008000a0000007c00000010000000320000000000000000000000060000000000000000000000000000000000000000000000000000009001000000000000900100000000000000000000000000009001000000000000c800000000000000580200000000000000000000000000005802000000000000c8000000000000000000000003000000320000000000000000000000000000003200000000000000000000000000000032000000000000000000000000000000060000000000000009000000000000000c000000000000001000000000000000130000000000000014000000000000001e000000000000001f0000000000000022000000000000002300000000000000250000000000000027000000000000002b000000000000002c0000000000000032000000000000003400000000000000360000000000000037000000000000003a0000000000000040000000000000004400000000000000470000000000000048000000000000004a000000000000004d000000000000004e000000000000005200000000000000540000000000000057000000000000005a000000000000005b000000000000005d00000000000000600000000000000067000000000000006b000000000000006d000000000000006f00000000000000700000000000000072000000000000007600000000000000770000000000000078000000000000007a000000000000007b000000000000007f000000000000008100000000000000820000000000000085000000000000008700000000000000880000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000001000000010000000100000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000200000002000000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000010000000100000001000000010000000100000001000000010000000100000001000000010000000200000001000000010000000100000001000000010000000100000001000000010000000200000002000000020000000200000002000000020000000200000001000000020000000200000002000000020000000200000002000000010000000200000002000000ffffffff00000000');
INSERT INTO public.registry VALUES (1, '062ec4b10c2b458e8f7d8dbfc3ae2f0d', 7, NULL, 2, '2026-11-22 02:54:34.85554+00');
INSERT INTO public.resource VALUES (1, '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '{}');
INSERT INTO public.result VALUES (1, 1, 'full', 50, 0, 0, NULL);
INSERT INTO public.result VALUES (3, 3, 'full', 50, 0, 0, NULL);
INSERT INTO public.result VALUES (4, 4, 'full', 50, 0, 0, NULL);
INSERT INTO public.result VALUES (5, 5, 'imputed', 50, 0, 50, NULL);
INSERT INTO public.result VALUES (6, 6, 'imputed', 50, 0, 50, NULL);
INSERT INTO public.result VALUES (2, 2, 'full', 50, 0, 0, NULL);
INSERT INTO public.score VALUES (1, 8, 'finite', 0.94);
INSERT INTO public.score VALUES (1, 9, 'finite', 0.06);
INSERT INTO public.score VALUES (3, 8, 'finite', 0.96);
INSERT INTO public.score VALUES (3, 9, 'finite', 0.04);
INSERT INTO public.score VALUES (4, 8, 'finite', 0.3);
INSERT INTO public.score VALUES (4, 9, 'finite', 0.7);
INSERT INTO public.score VALUES (5, 8, 'finite', 0.28);
INSERT INTO public.score VALUES (5, 9, 'finite', 0.72);
INSERT INTO public.score VALUES (6, 8, 'finite', 0.22);
INSERT INTO public.score VALUES (6, 9, 'finite', 0.78);
INSERT INTO public.score VALUES (2, 8, 'finite', 0.94);
INSERT INTO public.score VALUES (2, 9, 'finite', 0.06);
INSERT INTO public.spec VALUES (1, 'task', 'c7455a31cddc48daa41e3aa1f8e815b2c364c687bdd697fbf10ee7d4f9e389ae', '{"format": 1, "type": "classif", "data": {"kind": "artifact", "digest": "e9bf5a81c4a426226cde688ae3383359a628175611507b4302f4eb4ecc161cd9"}, "target": "species", "roles": {"feature": ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]}}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (2, 'model', '0d8e6484146bc7e743ddb38761ae193bd39f470d6f0fbdadd2042edd7036f2e2', '{"format": 1, "type": "classif", "estimator": {"object": "sklearn.tree.DecisionTreeClassifier", "params": {}}, "preprocess": "auto", "predict_type": "response"}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (3, 'model', '60a4233008c119f3a24af6e5667e258c75ce72bc80598951faff01b2140d524b', '{"format": 1, "type": "classif", "key": "classif.debug", "params": {"error_train": 0.7}, "predict_type": "response"}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (4, 'model', 'ee2b75b66a0805fb8305ddfeb5b89eb15991d3875cd6a124e2165b5f285bf828', '{"format": 1, "type": "classif", "key": "classif.debug", "params": {"error_train": 1.0, "warning_predict": 1.0}, "predict_type": "response"}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (5, 'policy', '3f0a99256beeb89a6b9f2793885291a6454928fd74903159ab2e51452b13df6f', '{"format": 1}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (6, 'policy', 'd57c1c2479c6aafdf6096afca774580ceeb8e5b42e6d6e96783e675c4a7ab21f', '{"format": 1, "encapsulate": {"train": "capture", "predict": "capture"}, "fallback": {"id": "classif.featureless", "model": {"format": 1, "type": "classif", "key": "classif.featureless", "params": {}, "predict_type": "response"}}}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (7, 'resampling', 'bdd2a972f092a8ac46acf2fccef38164c783a933be41d51e9f5b9644dae05d5a', '{"format": 1, "key": "cv", "params": {"folds": 3}}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (8, 'measure', '5cbff201a4f5f5191f62a93d81a99ac60d8f43801e8bcdfdb0da1e534546caff', '{"format": 1, "key": "classif.acc"}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (9, 'measure', 'ebf74e1a668bc7bfa2d3e0fdd46a36be46bd438adf1f845bf8616cd4de5c4236', '{"format": 1, "key": "classif.ce"}', '2026-11-22 02:54:34.972269+00');
INSERT INTO public.spec VALUES (10, 'task', '6281e1385a151f0035f602f8c014b12f35d8d4889d5d4e2a8afbf8e123a6badc', '{"format": 1, "type": "classif", "data": {"kind": "artifact", "digest": "9cef29ac0e7e7cc0c618dcd8fa8e12e21b4358da7f35cfa7c50125743c3e9be4"}, "target": "cultivar", "roles": {"feature": ["alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids", "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline"]}}', '2026-11-22 02:54:39.114956+00');
INSERT INTO public.spec VALUES (11, 'model', 'd55327f824833ddb20fb99dd96481b0eb79d590866b73b20420935f3fef6a890', '{"format": 1, "type": "classif", "key": "classif.featureless", "params": {}, "predict_type": "response"}', '2026-11-22 02:54:39.114956+00');
INSERT INTO public.spec VALUES (12, 'resampling', '0a23dc3b12d2badd10caf7b3b888df0c4515a247df82af569c2f45fd90fa8cca', '{"format": 1, "key": "cv", "params": {"folds": 5}}', '2026-11-22 02:54:39.114956+00');
INSERT INTO public.submission VALUES (1, 1, 'local', '{"slots": 2, "workers": 1, "detach": false}', '2026-11-22 02:54:35.003382+00');
INSERT INTO public.submission VALUES (2, 1, 'local', '{"slots": 1, "workers": 1, "detach": false}', '2026-11-22 02:54:37.222691+00');
INSERT INTO public.submission VALUES (3, 1, 'local', '{"slots": 2, "workers": 1, "detach": false}', '2026-11-22 02:54:37.237416+00');
INSERT INTO public.submission VALUES (4, 1, 'nobody', '{}', '2026-11-22 02:54:39.1343+00');
INSERT INTO public.worker VALUES (1, 1, 'node1', 'b5be3aab-9edd-475e-8c2b-cd5fe654dbf4', 22077, 1203790, 'pid:[4026531836]', NULL, 0, 2, 'stopped', 'go_on', 'idle', 1795316076.940806, '2026-11-22 02:54:35.772287+00', '2026-11-22 02:54:36.940806+00', '2026-11-22 02:54:36.974308+00');
INSERT INTO public.worker VALUES (2, 3, 'node1', 'b5be3aab-9edd-475e-8c2b-cd5fe654dbf4', 22111, 1204014, 'pid:[4026531836]', NULL, 0, 2, 'stopped', 'go_on', 'idle', 1795316078.035885, '2026-11-22 02:54:37.985368+00', '2026-11-22 02:54:38.035885+00', '2026-11-22 02:54:38.073257+00');
INSERT INTO public.worker VALUES (3, 2, 'node1', 'b5be3aab-9edd-475e-8c2b-cd5fe654dbf4', 22110, 1204012, 'pid:[4026531836]', NULL, 0, 1, 'stopped', 'go_on', 'idle', 1795316078.975419, '2026-11-22 02:54:38.006083+00', '2026-11-22 02:54:38.975419+00', '2026-11-22 02:54:39.003352+00');
INSERT INTO public.worker VALUES (4, 4, 'node1', 'b5be3aab-9edd-475e-8c2b-cd5fe654dbf4', 21961, 1203040, 'pid:[4026531836]', NULL, 0, 1, 'lost', 'go_on', 'its process is gone', 1795316079.166692, '2026-11-22 02:54:39.163622+00', '2026-11-22 02:54:39.166692+00', '2026-11-22 02:54:39.185376+00');
SELECT pg_catalog.setval('public.attempt_id_seq', 11, true);
SELECT pg_catalog.setval('public.benchmark_id_seq', 2, true);
SELECT pg_catalog.setval('public.experiment_id_seq', 4, true);
SELECT pg_catalog.setval('public.job_id_seq', 14, true);
SELECT pg_catalog.setval('public.resource_id_seq', 4, true);
SELECT pg_catalog.setval('public.spec_id_seq', 12, true);
SELECT pg_catalog.setval('public.submission_id_seq', 4, true);
SELECT pg_catalog.setval('public.worker_id_seq', 4, true);
ALTER TABLE ONLY public.batchml_version
    ADD CONSTRAINT batchml_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT pk_attempt PRIMARY KEY (id);
ALTER TABLE ONLY public.benchmark
    ADD CONSTRAINT pk_benchmark PRIMARY KEY (id);
ALTER TABLE ONLY public.benchmark_experiment
    ADD CONSTRAINT pk_benchmark_experiment PRIMARY KEY (benchmark_id, experiment_id);
ALTER TABLE ONLY public.benchmark_measure
    ADD CONSTRAINT pk_benchmark_measure PRIMARY KEY (benchmark_id, measure_id);
ALTER TABLE ONLY public.condition
    ADD CONSTRAINT pk_condition PRIMARY KEY (attempt_id, number);
ALTER TABLE ONLY public.experiment
    ADD CONSTRAINT pk_experiment PRIMARY KEY (id);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT pk_job PRIMARY KEY (id);
ALTER TABLE ONLY public.job_tag
    ADD CONSTRAINT pk_job_tag PRIMARY KEY (job_id, tag);
ALTER TABLE ONLY public.log
    ADD CONSTRAINT pk_log PRIMARY KEY (attempt_id);
ALTER TABLE ONLY public.prediction
    ADD CONSTRAINT pk_prediction PRIMARY KEY (job_id, predict_set);
ALTER TABLE ONLY public.registry
    ADD CONSTRAINT pk_registry PRIMARY KEY (id);
ALTER TABLE ONLY public.resource
    ADD CONSTRAINT pk_resource PRIMARY KEY (id);
ALTER TABLE ONLY public.result
    ADD CONSTRAINT pk_result PRIMARY KEY (job_id);
ALTER TABLE ONLY public.score
    ADD CONSTRAINT pk_score PRIMARY KEY (job_id, measure_id);
ALTER TABLE ONLY public.spec
    ADD CONSTRAINT pk_spec PRIMARY KEY (id);
ALTER TABLE ONLY public.submission
    ADD CONSTRAINT pk_submission PRIMARY KEY (id);
ALTER TABLE ONLY public.worker
    ADD CONSTRAINT pk_worker PRIMARY KEY (id);
ALTER TABLE ONLY public.benchmark
    ADD CONSTRAINT uq_benchmark_name UNIQUE (name);
ALTER TABLE ONLY public.experiment
    ADD CONSTRAINT uq_experiment_digest UNIQUE (digest);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT uq_job_experiment_id_iteration UNIQUE (experiment_id, iteration);
ALTER TABLE ONLY public.resource
    ADD CONSTRAINT uq_resource_digest UNIQUE (digest);
ALTER TABLE ONLY public.result
    ADD CONSTRAINT uq_result_attempt_id UNIQUE (attempt_id);
ALTER TABLE ONLY public.spec
    ADD CONSTRAINT uq_spec_kind_digest UNIQUE (kind, digest);
CREATE INDEX ix_attempt_job_id ON public.attempt USING btree (job_id);
CREATE INDEX ix_attempt_open ON public.attempt USING btree (worker_id) WHERE (ended_at IS NULL);
CREATE INDEX ix_attempt_recalled ON public.attempt USING btree (worker_id) WHERE (recalled = 1);
CREATE INDEX ix_benchmark_experiment_experiment_id ON public.benchmark_experiment USING btree (experiment_id);
CREATE INDEX ix_condition_error ON public.condition USING btree (attempt_id) WHERE (level = 'error'::text);
CREATE INDEX ix_experiment_model_id ON public.experiment USING btree (model_id);
CREATE INDEX ix_experiment_task_id ON public.experiment USING btree (task_id);
CREATE INDEX ix_job_claim ON public.job USING btree (resource_id, suspect, priority DESC, id) WHERE (state = 'queued'::text);
CREATE INDEX ix_job_state ON public.job USING btree (state, experiment_id);
CREATE INDEX ix_job_tag_tag ON public.job_tag USING btree (tag, job_id);
CREATE INDEX ix_worker_live ON public.worker USING btree (submission_id) WHERE (stopped_at IS NULL);
CREATE UNIQUE INDEX uq_attempt_open ON public.attempt USING btree (job_id) WHERE (ended_at IS NULL);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT fk_attempt_job_id FOREIGN KEY (job_id) REFERENCES public.job(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT fk_attempt_policy_id FOREIGN KEY (policy_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT fk_attempt_source_id FOREIGN KEY (source_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT fk_attempt_worker_id FOREIGN KEY (worker_id) REFERENCES public.worker(id);
ALTER TABLE ONLY public.benchmark_experiment
    ADD CONSTRAINT fk_benchmark_experiment_benchmark_id FOREIGN KEY (benchmark_id) REFERENCES public.benchmark(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.benchmark_experiment
    ADD CONSTRAINT fk_benchmark_experiment_experiment_id FOREIGN KEY (experiment_id) REFERENCES public.experiment(id);
ALTER TABLE ONLY public.benchmark_experiment
    ADD CONSTRAINT fk_benchmark_experiment_resampling_id FOREIGN KEY (resampling_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.benchmark_measure
    ADD CONSTRAINT fk_benchmark_measure_benchmark_id FOREIGN KEY (benchmark_id) REFERENCES public.benchmark(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.benchmark_measure
    ADD CONSTRAINT fk_benchmark_measure_measure_id FOREIGN KEY (measure_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.condition
    ADD CONSTRAINT fk_condition_attempt_id FOREIGN KEY (attempt_id) REFERENCES public.attempt(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.experiment
    ADD CONSTRAINT fk_experiment_model_id FOREIGN KEY (model_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.experiment
    ADD CONSTRAINT fk_experiment_policy_id FOREIGN KEY (policy_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.experiment
    ADD CONSTRAINT fk_experiment_resampling_id FOREIGN KEY (resampling_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.experiment
    ADD CONSTRAINT fk_experiment_source_id FOREIGN KEY (source_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.experiment
    ADD CONSTRAINT fk_experiment_task_id FOREIGN KEY (task_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT fk_job_experiment_id FOREIGN KEY (experiment_id) REFERENCES public.experiment(id);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT fk_job_resource_id FOREIGN KEY (resource_id) REFERENCES public.resource(id);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT fk_job_submission_id FOREIGN KEY (submission_id) REFERENCES public.submission(id);
ALTER TABLE ONLY public.job_tag
    ADD CONSTRAINT fk_job_tag_job_id FOREIGN KEY (job_id) REFERENCES public.job(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.log
    ADD CONSTRAINT fk_log_attempt_id FOREIGN KEY (attempt_id) REFERENCES public.attempt(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.prediction
    ADD CONSTRAINT fk_prediction_job_id FOREIGN KEY (job_id) REFERENCES public.result(job_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.result
    ADD CONSTRAINT fk_result_attempt_id FOREIGN KEY (attempt_id) REFERENCES public.attempt(id);
ALTER TABLE ONLY public.result
    ADD CONSTRAINT fk_result_job_id FOREIGN KEY (job_id) REFERENCES public.job(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.score
    ADD CONSTRAINT fk_score_job_id FOREIGN KEY (job_id) REFERENCES public.result(job_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.score
    ADD CONSTRAINT fk_score_measure_id FOREIGN KEY (measure_id) REFERENCES public.spec(id);
ALTER TABLE ONLY public.submission
    ADD CONSTRAINT fk_submission_resource_id FOREIGN KEY (resource_id) REFERENCES public.resource(id);
ALTER TABLE ONLY public.worker
    ADD CONSTRAINT fk_worker_submission_id FOREIGN KEY (submission_id) REFERENCES public.submission(id);
