"""What a run measured: metrics with intervals, tables, pictures, records."""
