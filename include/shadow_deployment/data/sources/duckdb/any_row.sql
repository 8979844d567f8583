-- A row if there are requests or labels between two moments, both included.
SELECT 1 FROM files WHERE :time >= :start AND :time <= :end LIMIT 1
