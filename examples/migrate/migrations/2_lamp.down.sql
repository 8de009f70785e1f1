delete from migrate_articles;
