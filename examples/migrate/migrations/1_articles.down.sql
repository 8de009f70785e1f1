drop table migrate_articles;
