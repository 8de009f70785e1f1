-- +goose Up
insert into goose_articles values ('lamp', '{light,new}', '{"watt": 9}');

-- +goose Down
delete from goose_articles;
