begin;
insert into migrate_articles values ('lamp', '{light,new}', '{"watt": 9}');
commit;
