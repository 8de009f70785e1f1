output "client_id" {
  description = "CLIENT_ID of make install."
  value       = azurerm_user_assigned_identity.app.client_id
}

output "object_id" {
  description = "OBJECT_ID of make database."
  value       = azurerm_user_assigned_identity.app.principal_id
}

output "host" {
  description = "DBHOST of make database and make install."
  value       = azurerm_postgresql_flexible_server.db.fqdn
}
