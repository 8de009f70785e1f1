# The identity of the pods, and whose tokens it takes for its own: those of one service
# account of one cluster.
resource "azurerm_user_assigned_identity" "app" {
  name                = "azurepg-example"
  resource_group_name = var.resource_group
  location            = var.location
}

resource "azurerm_federated_identity_credential" "app" {
  name                = "azurepg-example"
  resource_group_name = var.resource_group
  parent_id           = azurerm_user_assigned_identity.app.id
  issuer              = var.oidc_issuer_url
  subject             = "system:serviceaccount:${var.namespace}:${var.service_account}"
  audience            = ["api://AzureADTokenExchange"]
}

# The server has no passwords at all.
resource "azurerm_postgresql_flexible_server" "db" {
  name                          = var.server_name
  resource_group_name           = var.resource_group
  location                      = var.location
  version                       = "16"
  sku_name                      = "B_Standard_B1ms"
  storage_mb                    = 32768
  public_network_access_enabled = true

  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = data.azurerm_client_config.current.tenant_id
  }

  lifecycle {
    ignore_changes = [zone] # a failover changes it
  }
}

resource "azurerm_postgresql_flexible_server_active_directory_administrator" "admin" {
  server_name         = azurerm_postgresql_flexible_server.db.name
  resource_group_name = var.resource_group
  tenant_id           = data.azurerm_client_config.current.tenant_id
  object_id           = var.admin_object_id
  principal_name      = var.admin_name
  principal_type      = var.admin_type
}

resource "azurerm_postgresql_flexible_server_firewall_rule" "cluster" {
  name             = "cluster"
  server_id        = azurerm_postgresql_flexible_server.db.id
  start_ip_address = var.authorized_address
  end_ip_address   = var.authorized_address
}

resource "azurerm_postgresql_flexible_server_firewall_rule" "bastion" {
  count            = var.bastion_address == "" ? 0 : 1
  name             = "bastion"
  server_id        = azurerm_postgresql_flexible_server.db.id
  start_ip_address = var.bastion_address
  end_ip_address   = var.bastion_address
}

resource "azurerm_postgresql_flexible_server_database" "app" {
  count     = var.database == "" ? 0 : 1
  name      = var.database
  server_id = azurerm_postgresql_flexible_server.db.id
  charset   = "UTF8"
  collation = "en_US.utf8"
}
