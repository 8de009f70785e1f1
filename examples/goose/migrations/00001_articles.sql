-- +goose Up
create table goose_articles (name text primary key, tags text[], details jsonb);

-- +goose Down
drop table goose_articles;
