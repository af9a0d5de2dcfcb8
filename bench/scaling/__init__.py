"""How a fleet of pods behaves under load: measured service times, simulated queues and scaling."""
