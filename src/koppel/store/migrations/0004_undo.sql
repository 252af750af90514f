-- Which job a job takes back; what a pair had agreed on when it was uncoupled.
ALTER TABLE job ADD COLUMN undoes bigint;
ALTER TABLE history ADD COLUMN base bytea;
