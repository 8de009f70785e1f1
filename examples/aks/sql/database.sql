-- Gives the role the schema public. The administrator who executed principal.sql executes it in
-- the new database, with psql's variable role. It may be repeated, after principal.sql.
\set ON_ERROR_STOP on

-- PostgreSQL 15 and later let only the owner make tables in public.
alter schema public owner to :"role";
revoke create on schema public from public;

revoke :"role" from current_user;
