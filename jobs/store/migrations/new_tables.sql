CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE batch (
	id VARCHAR NOT NULL, 
	description TEXT NOT NULL, 
	model VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, kind VARCHAR DEFAULT 'run' NOT NULL, idempotency_key VARCHAR, digest VARCHAR, complete BOOLEAN DEFAULT 1 NOT NULL, maker VARCHAR, priority INTEGER DEFAULT '0' NOT NULL, overtakes BOOLEAN DEFAULT 0 NOT NULL, paused_at FLOAT, 
	PRIMARY KEY (id)
);
CREATE TABLE job (
	id VARCHAR NOT NULL, 
	batch_id VARCHAR, 
	lane VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	request TEXT NOT NULL, 
	digest VARCHAR NOT NULL, 
	source TEXT, 
	output TEXT, 
	worker VARCHAR, 
	attempts INTEGER NOT NULL, 
	deaths INTEGER NOT NULL, 
	created_at FLOAT NOT NULL, 
	started_at FLOAT, 
	finished_at FLOAT, 
	finished_order INTEGER, 
	text TEXT, 
	finish_reason VARCHAR, 
	prompt_tokens INTEGER, 
	image_tokens INTEGER, 
	completion_tokens INTEGER, 
	queue_seconds FLOAT, 
	preprocess_seconds FLOAT, 
	prefill_seconds FLOAT, 
	decode_seconds FLOAT, 
	error_code VARCHAR, 
	error_message TEXT, quality VARCHAR, logprobs TEXT, streamed BOOLEAN DEFAULT 0 NOT NULL, roots TEXT, idempotency_key VARCHAR, output_before VARCHAR, previous_text BLOB, reasoning TEXT, delivery TEXT, cache_key VARCHAR, cached BOOLEAN DEFAULT 0 NOT NULL, output_after VARCHAR, output_text TEXT, question TEXT, quality_retries INTEGER DEFAULT '0' NOT NULL, reviewed_at FLOAT, edited_text TEXT, tool_calls TEXT, choices TEXT, position INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(batch_id) REFERENCES batch (id) ON DELETE CASCADE
);
CREATE TABLE webhook (
	id VARCHAR NOT NULL, 
	url TEXT NOT NULL, 
	job_id VARCHAR, 
	batch_id VARCHAR, 
	attempts INTEGER NOT NULL, 
	next_attempt_at FLOAT, 
	delivered_at FLOAT, 
	last_error TEXT, 
	created_at FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE, 
	FOREIGN KEY(batch_id) REFERENCES batch (id) ON DELETE CASCADE
);
CREATE TABLE written_file (
	id VARCHAR NOT NULL, 
	job_id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	path TEXT NOT NULL, 
	"before" BLOB, 
	before_sha256 VARCHAR, 
	backup TEXT, 
	after_sha256 VARCHAR NOT NULL, 
	written_at FLOAT NOT NULL, 
	undone_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE
);
CREATE TABLE vocabulary (
	id VARCHAR NOT NULL, 
	words TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE "stored_file" (
	id VARCHAR NOT NULL, 
	sha256 VARCHAR, 
	bytes BIGINT NOT NULL, 
	filename TEXT NOT NULL, 
	purpose VARCHAR NOT NULL, 
	idempotency_key VARCHAR, 
	created_at FLOAT NOT NULL, 
	batch_id VARCHAR, 
	part VARCHAR, 
	expires_at FLOAT, 
	PRIMARY KEY (id), 
	CONSTRAINT stored_file_batch FOREIGN KEY(batch_id) REFERENCES batch (id) ON DELETE CASCADE, 
	UNIQUE (idempotency_key)
);
CREATE TABLE file_batch (
	id VARCHAR NOT NULL, 
	dialect VARCHAR NOT NULL, 
	endpoint VARCHAR NOT NULL, 
	input_file_id VARCHAR NOT NULL, 
	input_sha256 VARCHAR NOT NULL, 
	completion_window VARCHAR NOT NULL, 
	labels TEXT, 
	webhook TEXT, 
	results_kept FLOAT, 
	status VARCHAR NOT NULL, 
	ending VARCHAR, 
	model VARCHAR, 
	total INTEGER NOT NULL, 
	errors TEXT, 
	tally TEXT, 
	created_at FLOAT NOT NULL, 
	expires_at FLOAT NOT NULL, 
	in_progress_at FLOAT, 
	finalizing_at FLOAT, 
	completed_at FLOAT, 
	failed_at FLOAT, 
	expired_at FLOAT, 
	cancelling_at FLOAT, 
	cancelled_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(id) REFERENCES batch (id) ON DELETE CASCADE
);
CREATE TABLE file_line (
	batch_id VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	end_offset BIGINT NOT NULL, 
	custom_id TEXT NOT NULL, 
	job_id VARCHAR, 
	refusal TEXT, 
	PRIMARY KEY (batch_id, number), 
	FOREIGN KEY(batch_id) REFERENCES batch (id) ON DELETE CASCADE, 
	FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE
);
CREATE TABLE response (
	job_id VARCHAR NOT NULL, 
	asked TEXT NOT NULL, 
	first_message INTEGER NOT NULL, 
	PRIMARY KEY (job_id), 
	FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE
);
CREATE TABLE job_count (
	batch_id VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	lane VARCHAR NOT NULL, 
	number BIGINT NOT NULL, 
	PRIMARY KEY (batch_id, status, lane)
);
CREATE TABLE caption_words (
	id INTEGER NOT NULL, 
	job_id VARCHAR NOT NULL, 
	words TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (job_id), 
	FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE
);
CREATE VIRTUAL TABLE caption_words_index USING fts5(words, content='caption_words', content_rowid='id', tokenize='ascii');
CREATE TABLE comparison (
	batch_id VARCHAR NOT NULL, 
	base_id VARCHAR NOT NULL, 
	PRIMARY KEY (batch_id), 
	FOREIGN KEY(batch_id) REFERENCES batch (id) ON DELETE CASCADE, 
	FOREIGN KEY(base_id) REFERENCES batch (id) ON DELETE CASCADE
);
CREATE TABLE follow_up (
	job_id VARCHAR NOT NULL, 
	about_id VARCHAR NOT NULL, 
	winner VARCHAR, 
	PRIMARY KEY (job_id), 
	FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE, 
	FOREIGN KEY(about_id) REFERENCES job (id) ON DELETE CASCADE
);
INSERT INTO alembic_version (version_num) VALUES ('0020');
INSERT INTO caption_words_index (caption_words_index) VALUES ('rebuild');
CREATE INDEX job_status_created ON job (status, created_at);
CREATE UNIQUE INDEX batch_idempotency_key ON batch (idempotency_key);
CREATE INDEX webhook_next_attempt ON webhook (next_attempt_at);
CREATE INDEX job_output ON job (output);
CREATE INDEX written_file_job ON written_file (job_id);
CREATE INDEX written_file_path ON written_file (path);
CREATE INDEX ix_stored_file_sha256 ON stored_file (sha256);
CREATE INDEX stored_file_batch ON stored_file (batch_id);
CREATE INDEX file_batch_status ON file_batch (status);
CREATE UNIQUE INDEX file_line_job ON file_line (job_id);
CREATE INDEX job_waiting ON job (lane, batch_id, position, id) WHERE status = 'queued';
CREATE INDEX job_count_status ON job_count (status, lane);
CREATE TRIGGER job_count_update AFTER UPDATE OF batch_id, status, lane ON job BEGIN
        UPDATE job_count SET number = number - 1
            WHERE batch_id = ifnull(OLD.batch_id, '') AND status = OLD.status AND lane = OLD.lane;
        INSERT INTO job_count (batch_id, status, lane, number)
            VALUES (ifnull(NEW.batch_id, ''), NEW.status, NEW.lane, 1)
            ON CONFLICT DO UPDATE SET number = number + 1;
    END;
CREATE TRIGGER job_count_delete AFTER DELETE ON job BEGIN
        UPDATE job_count SET number = number - 1
            WHERE batch_id = ifnull(OLD.batch_id, '') AND status = OLD.status AND lane = OLD.lane;
    END;
CREATE TRIGGER batch_count_delete AFTER DELETE ON batch BEGIN DELETE FROM job_count WHERE batch_id = OLD.id; END;
CREATE UNIQUE INDEX job_idempotency_key ON job (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_cache_key ON job (cache_key) WHERE cache_key IS NOT NULL;
CREATE INDEX job_batch_finished ON job (batch_id, finished_order) WHERE finished_order IS NOT NULL;
CREATE INDEX job_flawed ON job (status, created_at) WHERE quality IS NOT NULL;
CREATE INDEX job_not_as_asked ON job (status, created_at) WHERE error_code IS NOT NULL AND finish_reason IS NOT NULL;
CREATE INDEX job_batch_status ON job (batch_id, status, created_at);
CREATE INDEX batch_created ON batch (created_at, id);
CREATE TRIGGER caption_words_INSERT AFTER INSERT ON caption_words BEGIN INSERT INTO caption_words_index (rowid, words) VALUES (new.id, new.words); END;
CREATE TRIGGER caption_words_DELETE AFTER DELETE ON caption_words BEGIN INSERT INTO caption_words_index (caption_words_index, rowid, words) VALUES ('delete', old.id, old.words); END;
CREATE TRIGGER caption_words_UPDATE AFTER UPDATE ON caption_words BEGIN INSERT INTO caption_words_index (caption_words_index, rowid, words) VALUES ('delete', old.id, old.words);INSERT INTO caption_words_index (rowid, words) VALUES (new.id, new.words); END;
CREATE INDEX comparison_base ON comparison (base_id);
CREATE INDEX follow_up_about ON follow_up (about_id);
ANALYZE job;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('batch', 'batch_created', '1000 1 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('batch', 'sqlite_autoindex_batch_1', '1000 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_batch_finished', '1000000 10000 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_batch_status', '1000000 10000 5000 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_cache_key', '1000000 2');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_flawed', '10000 5000 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_idempotency_key', '1000000 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_not_as_asked', '10000 5000 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_output', '1000000 2');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_status_created', '1000000 200000 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'job_waiting', '500000 250000 10000 1 1');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', 'sqlite_autoindex_job_1', '1000000 1');
