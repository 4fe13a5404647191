/* Solve -(u_xx + u_yy) = 2 pi^2 sin(pi x) sin(pi y) on the unit square, u = 0 at its edge, by
   successive over-relaxation. The exact solution is sin(pi x) sin(pi y).

   Standard input is a deck of lines `name = value`: cells (along an edge), omega (1 is the method
   of Gauss and Seidel), tolerance (of the largest change in a sweep, where it stops). */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
static const int MAX_SWEEPS = 100000;

static double sweep(double *u, const double *force, int n, double omega)
{
    double largest = 0;
    for (int i = 1; i < n; i++)
        for (int j = 1; j < n; j++) {
            double *here = u + i * (n + 1) + j;
            double mean = (here[-1] + here[1] + here[-n - 1] + here[n + 1]) / 4;
            double change = omega * (mean + force[i * (n + 1) + j] - *here);
            *here += change;
            largest = fmax(largest, fabs(change));
        }
    return largest;
}

int main(void)
{
    char line[200], name[40];
    double value, cells = 0, omega = 0, tolerance = 0;

    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, " %39[a-z] = %lf", name, &value) != 2)
            continue;
        if (!strcmp(name, "cells"))
            cells = value;
        else if (!strcmp(name, "omega"))
            omega = value;
        else if (!strcmp(name, "tolerance"))
            tolerance = value;
        else {
            fprintf(stderr, "the deck has an unknown name: %s\n", name);
            return 2;
        }
    }
    if (cells < 2 || cells > 4096 || omega <= 0 || omega >= 2 || tolerance <= 0) {
        fprintf(stderr, "2 to 4096 cells, 0 < omega < 2 and tolerance > 0 are needed\n");
        return 2;
    }

    int n = (int)cells, n_sweeps = 0;
    size_t n_points = (size_t)(n + 1) * (n + 1);
    double *u = calloc(n_points, sizeof *u), *exact = calloc(n_points, sizeof *exact);
    double *force = calloc(n_points, sizeof *force);
    if (!u || !exact || !force) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    for (int i = 1; i < n; i++)
        for (int j = 1; j < n; j++) {
            int k = i * (n + 1) + j;
            exact[k] = sin(PI * i / n) * sin(PI * j / n);
            force[k] = PI * PI / 2 / n / n * exact[k];
        }

    double change = 1, error = 0;
    while (change > tolerance) {
        if (++n_sweeps > MAX_SWEEPS) {
            fprintf(stderr, "no solution after %d sweeps\n", MAX_SWEEPS);
            return 1;
        }
        change = sweep(u, force, n, omega);
    }
    for (size_t k = 0; k < n_points; k++)
        error = fmax(error, fabs(u[k] - exact[k]));
    printf("sweeps: %d\nerror: %.6e\n", n_sweeps, error);
    free(u);
    free(exact);
    free(force);
    return 0;
}
