-- Removal: requests, predictions and labels that are kept no longer, by retention or because somebody asked for it. Sums,
-- verdicts and promotions stay. Only the owner of these tables removes; the role that runs the days may call shadow.prune,
-- which removes what the owner has declared.
CREATE TABLE shadow.retention (
    deployment     text PRIMARY KEY,
    keep_days      int CHECK (keep_days > 0),
    maturity_days  int NOT NULL CHECK (maturity_days >= 0),
    look_back      int NOT NULL CHECK (look_back >= 0)
);
COMMENT ON TABLE shadow.retention IS 'how long days are kept, as the ledger''s owner has declared it with shadow migrate';
COMMENT ON COLUMN shadow.retention.keep_days IS 'counted from when a day was sampled; null keeps every day';
COMMENT ON COLUMN shadow.retention.look_back IS 'how many days before a day may share labels with it';

CREATE TABLE shadow.removal (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    snapshot_id    int NOT NULL REFERENCES shadow.sampled_day,
    kind           text NOT NULL CHECK (kind IN ('retention', 'erasure')),
    requests       int NOT NULL CHECK (requests >= 0),
    subject        text,
    digest_before  text NOT NULL,
    digest_after   text,
    removed_by     text NOT NULL CHECK (removed_by ~ '\S'),
    database_user  text NOT NULL DEFAULT session_user,
    removed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((kind = 'erasure') = (subject IS NOT NULL) AND (kind = 'erasure') = (digest_after IS NOT NULL))
);
COMMENT ON TABLE shadow.removal IS 'append-only and chained: of which day requests were removed, how many, when and by whom';
COMMENT ON COLUMN shadow.removal.kind IS 'retention: a whole day, with its files; erasure: single requests, the files being rewritten without them';
COMMENT ON COLUMN shadow.removal.subject IS 'salt and salted hash of what was asked for, never the value itself';
COMMENT ON COLUMN shadow.removal.digest_before IS 'of the snapshot; digest_after is that of the rewritten one, null where its files were removed';

CREATE INDEX removal_by_snapshot ON shadow.removal (snapshot_id, kind);

CALL shadow.make_append_only(ARRAY['removal']);

CREATE TRIGGER removal_is_chained AFTER INSERT ON shadow.removal
    FOR EACH ROW EXECUTE FUNCTION shadow.append_to_chain();

CREATE FUNCTION shadow.is_kept(snapshot int) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT FROM shadow.removal AS r WHERE (r.snapshot_id, r.kind) = (snapshot, 'retention'))
$$;
COMMENT ON FUNCTION shadow.is_kept IS 'whether the requests of a day were not removed by retention';

CREATE TABLE shadow.leftover (
    location       text PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment
);
COMMENT ON TABLE shadow.leftover IS 'folders of snapshots that the ledger needs no longer, until their files are removed';

CREATE FUNCTION shadow.unneeded(the_deployment text, sampled_before timestamptz, keep date[]) RETURNS SETOF shadow.day_so_far
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH sampled AS MATERIALIZED (
        SELECT
            s.id, s.day, s.design, s.rows, r.look_back, s.created_at < sampled_before AS is_old,
            s.day = ANY(keep) OR NOT coalesce(
                s.rows = 0 OR s.complete_at IS NOT NULL
                OR s.labels_until >= s.window_end + make_interval(days => r.maturity_days), false) AS is_open,
            s.design <> first_value(s.design) OVER (ORDER BY s.id DESC) AS is_of_another_design
        FROM shadow.labelled_snapshot AS s
        JOIN shadow.deployment AS d ON d.id = s.deployment_id
        JOIN shadow.retention AS r ON r.deployment = d.name
        WHERE d.name = the_deployment
    ),
    kept AS (SELECT * FROM sampled WHERE shadow.is_kept(id))
    SELECT d.* FROM kept AS s JOIN shadow.day_so_far AS d ON d.id = s.id
    WHERE s.is_old AND (s.is_of_another_design OR NOT s.is_open AND NOT EXISTS (
        SELECT FROM kept AS later
        WHERE later.design = s.design AND later.day > s.day AND later.day <= s.day + s.look_back AND later.is_open))
    ORDER BY d.day
$$;
COMMENT ON FUNCTION shadow.unneeded IS 'the days sampled before a moment of which nothing will be computed again: their labels were collected, and no later day that waits for labels looks back at them; keep names days to keep besides';

CREATE FUNCTION shadow.remove_day(the_snapshot int, the_remover text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s shadow.day_so_far;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('shadow/labels/' || the_snapshot, 0));
    SELECT * INTO STRICT s FROM shadow.day_so_far WHERE id = the_snapshot;
    IF NOT shadow.is_kept(s.id) THEN
        RETURN;
    END IF;
    PERFORM set_config('shadow.removing', 'yes', true);
    DELETE FROM shadow.request_batch WHERE day = s.day AND snapshot_id = s.id;
    DELETE FROM shadow.prediction_batch WHERE day = s.day AND snapshot_id = s.id;
    DELETE FROM shadow.label_arrival WHERE day = s.day AND snapshot_id = s.id;
    DELETE FROM shadow.disagreement WHERE snapshot_id = s.id;
    UPDATE shadow.replay_check SET worst = '[]' WHERE snapshot_id = s.id;
    UPDATE shadow.validation AS v
    SET failures = (SELECT coalesce(jsonb_agg(f || '{"requests": []}'), '[]') FROM jsonb_array_elements(v.failures) AS f)
    WHERE v.snapshot_id = s.id;
    PERFORM set_config('shadow.removing', '', true);
    INSERT INTO shadow.leftover (location, deployment_id) VALUES (s.location, s.deployment_id) ON CONFLICT DO NOTHING;
    INSERT INTO shadow.removal (deployment_id, snapshot_id, kind, requests, digest_before, removed_by)
    VALUES (s.deployment_id, s.id, 'retention', s.rows, s.digest, the_remover);
END $$;
COMMENT ON FUNCTION shadow.remove_day IS 'removes the requests, predictions and labels of a day, and what names its requests';

CREATE FUNCTION shadow.prune(the_deployment text, keep date[], the_remover text) RETURNS date LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s shadow.day_so_far;
    the_days int := (SELECT keep_days FROM shadow.retention WHERE deployment = the_deployment);
BEGIN
    SELECT * INTO s
    FROM shadow.unneeded(the_deployment, clock_timestamp() - make_interval(days => the_days), keep) LIMIT 1;
    IF FOUND THEN
        PERFORM shadow.remove_day(s.id, the_remover);
    END IF;
    RETURN s.day;
END $$;
COMMENT ON FUNCTION shadow.prune IS 'removes the first day that is older than the owner''s keep_days and that nothing needs any more; null where there is none';

-- Dropping a partition locks its parent, for which it does not wait: whoever prunes next tries again.
CREATE FUNCTION shadow.drop_pruned_partitions() RETURNS void LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    child name;
BEGIN
    FOR child IN
        SELECT relname
        FROM pg_class AS c
        CROSS JOIN LATERAL to_date(right(relname, 8), 'YYYYMMDD') AS p (day)
        WHERE relnamespace = 'shadow'::regnamespace AND relispartition AND relkind = 'r' AND relname ~ '_[0-9]{8}$'
          AND EXISTS (SELECT FROM shadow.sampled_day AS s WHERE s.day = p.day)
          AND NOT EXISTS (
              SELECT FROM shadow.day_so_far AS s WHERE s.day = p.day AND s.rows > 0 AND shadow.is_kept(s.id))
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE shadow.%I', child);
    END LOOP;
EXCEPTION
    WHEN lock_not_available THEN
        NULL;
END $$;
COMMENT ON FUNCTION shadow.drop_pruned_partitions IS 'drops the partitions of days that were removed from every deployment';

CREATE FUNCTION shadow.without(elements anyarray, places int[]) RETURNS anyarray LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    place int;
BEGIN
    FOR place IN SELECT DISTINCT p FROM unnest(places) AS p ORDER BY p DESC LOOP
        elements := elements[1:place - 1] || elements[place + 1:];
    END LOOP;
    RETURN elements;
END $$;
COMMENT ON FUNCTION shadow.without IS 'an array without the elements (of a matrix: the rows) in some places';

-- In ascending order, so that a row that moves up never meets the one before it. Every array of the table is of the requests.
CREATE FUNCTION shadow.move_rows(parent regclass, s shadow.day_so_far, erased int[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    batch record;
    places int[];
    shorter text := (
        SELECT string_agg(format('%1$I = shadow.without(%1$I, $3)', attname), ', ')
        FROM pg_attribute JOIN pg_type AS t ON t.oid = atttypid
        WHERE attrelid = parent AND attnum > 0 AND NOT attisdropped AND t.typcategory = 'A');
BEGIN
    FOR batch IN EXECUTE format(
        'SELECT ctid, tableoid::regclass AS child, first_ordinal, rows FROM %s WHERE day = $1 AND snapshot_id = $2 '
        'ORDER BY first_ordinal', parent) USING s.day, s.id
    LOOP
        places := ARRAY(
            SELECT o - batch.first_ordinal + 1 FROM unnest(erased) AS o
            WHERE o >= batch.first_ordinal AND o < batch.first_ordinal + batch.rows);
        IF cardinality(places) = batch.rows THEN
            EXECUTE format('DELETE FROM %s WHERE ctid = $1', batch.child) USING batch.ctid;
        ELSE
            EXECUTE format(
                'UPDATE %s SET first_ordinal = first_ordinal - $2, rows = rows - cardinality($3)%s WHERE ctid = $1',
                batch.child, CASE WHEN places <> '{}' THEN ', ' || shorter END)
            USING batch.ctid, (SELECT count(*) FROM unnest(erased) AS o WHERE o < batch.first_ordinal)::int, places;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION shadow.move_rows IS 'takes some requests out of the arrays of a day; those after them move up';

CREATE FUNCTION shadow.erase_requests(
    the_snapshot int, erased int[], ids text[], dropped_shards int[], the_digests text[], the_location text, the_subject text,
    the_remover text
)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s shadow.day_so_far;
    part record;
    places int[];
    the_digest text;
BEGIN
    SELECT * INTO STRICT s FROM shadow.day_so_far WHERE id = the_snapshot;
    PERFORM set_config('shadow.removing', 'yes', true);
    PERFORM shadow.move_rows('shadow.request_batch', s, erased);
    PERFORM shadow.move_rows('shadow.prediction_batch', s, erased);

    FOR part IN
        SELECT arrival, first_ordinal, ordinal FROM shadow.label_arrival
        WHERE day = s.day AND snapshot_id = s.id ORDER BY arrival, first_ordinal
    LOOP
        places := ARRAY(SELECT p::int FROM unnest(part.ordinal) WITH ORDINALITY AS a (o, p) WHERE o = ANY(erased));
        IF cardinality(places) = cardinality(part.ordinal) THEN
            DELETE FROM shadow.label_arrival
            WHERE (day, snapshot_id, arrival, first_ordinal) = (s.day, s.id, part.arrival, part.first_ordinal);
        ELSE
            part.ordinal := ARRAY(
                SELECT o - (SELECT count(*) FROM unnest(erased) AS e WHERE e < o)::int
                FROM unnest(shadow.without(part.ordinal, places)) AS o ORDER BY o);
            UPDATE shadow.label_arrival SET
                first_ordinal = part.ordinal[1], last_ordinal = part.ordinal[cardinality(part.ordinal)],
                rows = cardinality(part.ordinal), ordinal = part.ordinal, value = shadow.without(value, places),
                known_at = shadow.without(known_at, places), conflict = shadow.without(conflict, places),
                conflict_at = shadow.without(conflict_at, places), invalid = shadow.without(invalid, places),
                invalid_at = shadow.without(invalid_at, places), early_at = shadow.without(early_at, places)
            WHERE (day, snapshot_id, arrival, first_ordinal) = (s.day, s.id, part.arrival, part.first_ordinal);
        END IF;
    END LOOP;

    FOR part IN
        SELECT challenger_id, shard, first_ordinal, rows FROM shadow.scoring WHERE snapshot_id = s.id ORDER BY challenger_id, shard
    LOOP
        IF part.shard = ANY(dropped_shards) THEN
            DELETE FROM shadow.scoring WHERE (snapshot_id, challenger_id, shard) = (s.id, part.challenger_id, part.shard);
        ELSE
            UPDATE shadow.scoring AS c SET
                shard = c.shard - (SELECT count(*) FROM unnest(dropped_shards) AS d WHERE d < c.shard),
                first_ordinal = c.first_ordinal - (SELECT count(*) FROM unnest(erased) AS e WHERE e < c.first_ordinal),
                rows = c.rows - (
                    SELECT count(*) FROM unnest(erased) AS e WHERE e >= c.first_ordinal AND e < c.first_ordinal + c.rows)
            WHERE (snapshot_id, challenger_id, shard) = (s.id, part.challenger_id, part.shard);
        END IF;
    END LOOP;
    UPDATE shadow.scoring AS c SET errors = (
        SELECT count(*) FROM shadow.prediction AS p
        WHERE p.day = s.day AND (p.snapshot_id, p.challenger_id) = (s.id, c.challenger_id) AND p.error IS NOT NULL
          AND p.ordinal >= c.first_ordinal AND p.ordinal < c.first_ordinal + c.rows)
    WHERE c.snapshot_id = s.id AND c.errors > 0;

    DELETE FROM shadow.disagreement WHERE snapshot_id = s.id AND ordinal = ANY(erased);
    UPDATE shadow.disagreement AS g
    SET ordinal = g.ordinal - (SELECT count(*) FROM unnest(erased) AS e WHERE e < g.ordinal)
    WHERE g.snapshot_id = s.id;
    UPDATE shadow.replay_check AS c
    SET worst = (SELECT coalesce(jsonb_agg(w), '[]') FROM jsonb_array_elements(c.worst) AS w WHERE w ->> 'request_id' <> ALL(ids))
    WHERE c.snapshot_id = s.id;
    UPDATE shadow.validation AS v
    SET failures = (
        SELECT coalesce(jsonb_agg(jsonb_set(f, '{requests}', (
            SELECT coalesce(jsonb_agg(r), '[]') FROM jsonb_array_elements_text(f -> 'requests') AS r WHERE r <> ALL(ids)))), '[]')
        FROM jsonb_array_elements(v.failures) AS f)
    WHERE v.snapshot_id = s.id;
    UPDATE shadow.verification SET difference = 'a request that was erased, of ' || s.day || ', differed'
    WHERE deployment_id = s.deployment_id
      AND EXISTS (SELECT FROM unnest(ids) AS i WHERE starts_with(difference, 'request ' || i || ' of ' || s.day));

    UPDATE shadow.sampled_window AS w SET
        rows = w.rows - (SELECT count(*) FROM unnest(erased) AS e WHERE e >= w.first_ordinal AND e < w.first_ordinal + w.rows),
        first_ordinal = w.first_ordinal - (SELECT count(*) FROM unnest(erased) AS e WHERE e < w.first_ordinal),
        shards = w.shards - (
            SELECT count(*) FROM unnest(dropped_shards) AS d WHERE d >= w.first_shard AND d < w.first_shard + w.shards),
        first_shard = w.first_shard - (SELECT count(*) FROM unnest(dropped_shards) AS d WHERE d < w.first_shard),
        digest = the_digests[w.number]
    WHERE w.snapshot_id = s.id;
    UPDATE shadow.sampled_day SET location = the_location WHERE id = s.id;
    the_digest := (SELECT digest FROM shadow.day_so_far WHERE id = s.id);
    PERFORM set_config('shadow.removing', '', true);
    INSERT INTO shadow.leftover (location, deployment_id) VALUES (s.location, s.deployment_id) ON CONFLICT DO NOTHING;
    INSERT INTO shadow.removal (
        deployment_id, snapshot_id, kind, requests, subject, digest_before, digest_after, removed_by
    ) VALUES (s.deployment_id, s.id, 'erasure', cardinality(erased), the_subject, s.digest, the_digest, the_remover);
END $$;
COMMENT ON FUNCTION shadow.erase_requests IS 'takes requests, by ordinal and id, out of a day whose files were rewritten without them';

REVOKE ALL ON FUNCTION shadow.prune, shadow.drop_pruned_partitions FROM PUBLIC;
