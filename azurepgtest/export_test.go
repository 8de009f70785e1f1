package azurepgtest

// Installed lets tests find the programs beside the server that they use.
var Installed = installed
