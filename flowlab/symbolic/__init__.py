"""From a problem to its flow equations, by recorded steps."""
