"""Keep our tasks and labels equal to Label Studio's: webhook events, and the look that finds lost ones."""
