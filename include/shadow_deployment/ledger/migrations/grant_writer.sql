-- What the role needs that runs the days: it reads all, adds rows, and changes only what no verdict rests on.
DO $$
DECLARE
    writer CONSTANT name := {writer};
    kept name;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA shadow TO %I', writer);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA shadow TO %I', writer);
    FOR kept IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'shadow'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
          AND relname NOT IN ('alembic_version', 'chain', 'retention', 'removal', 'leftover')
    LOOP
        EXECUTE format('GRANT INSERT ON shadow.%I TO %I', kept, writer);
    END LOOP;
    EXECUTE format(
        'GRANT UPDATE, DELETE ON shadow.provisional_evidence, shadow.score_bin, shadow.quadrant, shadow.disagreement TO %I',
        writer);
    EXECUTE format('GRANT DELETE ON shadow.leftover TO %I', writer);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION shadow.ensure_partitions, shadow.analyze_day, shadow.prune, shadow.drop_pruned_partitions '
        'TO %I', writer);
END $$;
