-- Gives the role the schema public. The administrator who executed principal.sql executes it in
-- the new database, with psql's variable role. It may be repeated, after principal.sql.
\set ON_ERROR_STOP on

-- Since PostgreSQL 15 public is its database's owner's, which will do if principal.sql made the
-- database; before it was not, and everybody could make tables there.
alter schema public owner to :"role";
revoke create on schema public from public;

revoke :"role" from current_user;
