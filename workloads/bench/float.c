/* Four bodies that attract each other, stepped as often as the input says (u32): doubles, square
 * roots and divisions. For `driveway bench sandbox`. */
#include "../guest/driveway.h"

static double pos[4][3] = {{0, 0, 0}, {4.84, -1.16, -0.10}, {8.34, 4.12, -0.4}, {12.89, -15.11, -0.22}};
static double vel[4][3] = {{0, 0, 0}, {0.6, 2.81, -0.02}, {-1.01, 1.82, 0.008}, {1.08, 0.87, -0.01}};
static const double mass[4] = {39.47, 0.037, 0.011, 0.0017};

DW_EXPORT(run) int32_t run(void)
{
    uint32_t steps;
    if (dw_input_exact(0, &steps, 4) != 0)
        return DW_BAD_INPUT;
    for (uint32_t step = 0; step < steps; step++) {
        for (int i = 0; i < 4; i++)
            for (int j = i + 1; j < 4; j++) {
                double d[3], square = 0;
                for (int k = 0; k < 3; k++) {
                    d[k] = pos[i][k] - pos[j][k];
                    square += d[k] * d[k];
                }
                double pull = 0.001 / (square * __builtin_sqrt(square));
                for (int k = 0; k < 3; k++) {
                    vel[i][k] -= d[k] * mass[j] * pull;
                    vel[j][k] += d[k] * mass[i] * pull;
                }
            }
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 3; k++)
                pos[i][k] += 0.001 * vel[i][k];
    }
    return dw_output_all(pos, sizeof pos);
}
