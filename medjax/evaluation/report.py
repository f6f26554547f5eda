def render(**k): return 'stub'
