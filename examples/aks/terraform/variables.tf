variable "resource_group" {
  description = "Existing resource group for the server and the identity."
  type        = string
}

variable "location" {
  description = "Azure region, such as westeurope."
  type        = string
}

variable "server_name" {
  description = "Name of the flexible server; its host is <name>.postgres.database.azure.com."
  type        = string
}

variable "oidc_issuer_url" {
  description = "Issuer of the AKS cluster: az aks show --query oidcIssuerProfile.issuerUrl."
  type        = string
}

variable "authorized_address" {
  description = "The one IPv4 address that may connect: where the cluster's packets come from."
  type        = string
}

variable "bastion_address" {
  description = "IPv4 address of the machine that runs psql; empty: none besides authorized_address."
  type        = string
  default     = ""
}

variable "admin_object_id" {
  description = "Object id of the Entra administrator of the server, who runs the SQL."
  type        = string
}

variable "admin_name" {
  description = "User principal name or group name of the administrator."
  type        = string
}

variable "admin_type" {
  description = "User, Group or ServicePrincipal."
  type        = string
  default     = "User"
}

variable "namespace" {
  description = "Kubernetes namespace of the service account."
  type        = string
  default     = "azurepg-example"
}

variable "service_account" {
  description = "Kubernetes service account of the pods."
  type        = string
  default     = "azurepg-example"
}

variable "database" {
  description = "Database to make, owned by the administrator. Empty: sql/principal.sql makes it, owned by the program's role, which can then make tables."
  type        = string
  default     = ""
}
