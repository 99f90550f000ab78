-- Which secrets the house was begun with, as a key check value: one row, or none in a file of before there was this table.
CREATE TABLE house (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key_check BLOB NOT NULL
) STRICT;
