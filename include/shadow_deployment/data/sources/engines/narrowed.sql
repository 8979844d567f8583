-- The columns and rows that another statement needs, which then runs here: of a window, of a draw, of a look-up by ids.
SELECT :raw FROM (SELECT * FROM files WHERE :inside :once) :rest
