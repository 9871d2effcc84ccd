"""What goes along with `fit`: averages, states to resume from, progress, alarms."""
