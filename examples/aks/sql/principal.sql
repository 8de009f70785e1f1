-- Makes the role of the managed identity and its database. An Entra administrator of the
-- server executes it in database postgres, with psql's variables role, oid and database:
--
--	psql -v role=shop -v oid=OBJECT-ID -v database=shop -f principal.sql
--
-- It may be repeated.
\set ON_ERROR_STOP on

-- By object id, so that the role's name is free; 'service' is managed identities too. The
-- last two: no administrator, no multi-factor authentication.
select pgaadauth_create_principal_with_oid(:'role', :'oid', 'service', false, false)
where not exists (select from pg_roles where rolname = :'role');

-- Only a member of a role gives it a database. database.sql ends the membership.
grant :"role" to current_user;

select format('create database %I owner %I', :'database', :'role')
where not exists (select from pg_database where datname = :'database')
\gexec

-- Nobody else's, as far as connecting goes.
revoke connect, temporary on database :"database" from public;
grant connect, temporary on database :"database" to :"role";
