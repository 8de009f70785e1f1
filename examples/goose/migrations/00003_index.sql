-- +goose NO TRANSACTION
-- +goose Up
create index concurrently goose_articles_tags on goose_articles using gin (tags);

-- +goose Down
drop index concurrently goose_articles_tags;
