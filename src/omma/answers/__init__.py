"""What people label and models reply: draws itself, speaks JSON."""
