-- What an engine has answered, as it is.
SELECT * FROM files
