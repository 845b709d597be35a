PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE t(a INTEGER, b TEXT);
/****** CORRUPTION ERROR *******/
ROLLBACK; -- due to errors
