-- Which process works on a response that is not finished; 0 where only one can.
ALTER TABLE responses ADD COLUMN process BIGINT NOT NULL DEFAULT 0;
