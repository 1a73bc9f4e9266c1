-- Users' unique indexes on TVIEWs: rows that swap unique values in one flush do not meet.
CREATE SCHEMA unique_indexes;
SET search_path = unique_indexes, public;
CREATE TABLE assignment (desk int, employee text);
INSERT INTO assignment VALUES (1, 'ann'), (2, 'bob'), (NULL, 'eve');
CREATE TVIEW first_name AS SELECT desk, min(employee) AS who FROM assignment GROUP BY desk;
CREATE UNIQUE INDEX ON first_name (who);
UPDATE assignment SET desk = 3 - desk;
SELECT * FROM oracle('first_name');
-- also when there are more than memory holds
SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
INSERT INTO assignment SELECT i, 'employee ' || i FROM generate_series(10, 2000) i;
UPDATE assignment SET desk = 2010 - desk WHERE desk >= 10;
SELECT * FROM oracle('first_name');
RESET work_mem;
RESET hash_mem_multiplier;
CREATE TABLE profile (id int PRIMARY KEY, name text);
CREATE TABLE phone (id int PRIMARY KEY, profile int, number text);
INSERT INTO profile VALUES (1, 'ann'), (2, 'bob'), (3, 'eve');
INSERT INTO phone VALUES (1, 1, '100'), (2, 2, '200');
CREATE TVIEW book AS SELECT p.id, h.id AS phone, h.number FROM profile p LEFT JOIN phone h ON h.profile = p.id;
CREATE UNIQUE INDEX ON book (number);
CREATE UNIQUE INDEX ON book ((number || id)) WHERE id < 9;
UPDATE phone SET number = CASE number WHEN '100' THEN '200' ELSE '100' END;
SELECT * FROM oracle('book');
CREATE TVIEW names AS SELECT id, name FROM profile;
CREATE UNIQUE INDEX ON names (name);
BEGIN;
UPDATE profile SET name = CASE name WHEN 'ann' THEN 'bob' WHEN 'bob' THEN 'ann' ELSE name END;
SELECT * FROM names ORDER BY id;
COMMIT;
SELECT * FROM oracle('names');
-- a real duplicate is one
UPDATE profile SET name = 'ann';
-- as is a constraint that is not valid: no key
CREATE TABLE member (email text UNIQUE, n int);
INSERT INTO member VALUES (NULL, 1), (NULL, 2), ('a@example.org', 3);
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'ALTER TABLE member ADD CONSTRAINT email_set NOT NULL email NOT VALID';
    END IF;
END $$;
CREATE TVIEW members AS SELECT email, n FROM member;
SELECT explain FROM tviews.explain('members') explain LIMIT 2;
DELETE FROM member WHERE n = 1;
SELECT * FROM oracle('members');
SET client_min_messages = warning;
DROP SCHEMA unique_indexes CASCADE;
