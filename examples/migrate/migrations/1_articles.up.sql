create table migrate_articles (name text primary key, tags text[], details jsonb);
