-- The rows of sample.sql from a piece of a window, which is that of piece_population.sql; before each stands how many
-- requests the piece holds, and the time of its last one. A piece without such a row has one of nulls.
WITH piece AS (
    SELECT count(*) AS "piece rows", max(at) AS "piece last"
    FROM (
        SELECT :"time"::timestamptz AS at
        FROM :"table"
        WHERE :"time" >= :after AND :"time" < :'end'::timestamptz
        ORDER BY :"time"
        FETCH FIRST :rows ROWS WITH TIES
    ) AS times
),
drawn AS (
:sample
)
SELECT piece.*, drawn.* FROM piece LEFT JOIN drawn ON true
